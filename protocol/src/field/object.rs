//! Reading the objects of messages, each a table of its fields.

/// Reads an object's fields: those with a default may be missing, others are ignored, the later of two of one name
/// counts. `field: Wire type => conversion = default`, where only the first is always needed.
macro_rules! object {
    ($type:ident { $($field:ident: $wire:ty $(=> $convert:ident)? $(= $default:expr)?,)* }) => {
        impl<'de> $crate::field::read::Wire<'de> for $type {
            fn read<D: serde::Deserializer<'de>>(at: $crate::field::read::At, deserializer: D) -> Result<Self, D::Error> {
                struct Fields($crate::field::read::At);

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(f, "{} must be an object", self.0)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$type, A::Error> {
                        use $crate::field::read::{At, Seed};
                        $(let mut $field: Option<$wire> = None;)*
                        while let Some(key) = map.next_key_seed(Seed::<std::borrow::Cow<'de, str>>::at(self.0))? {
                            match key.as_ref() {
                                $(stringify!($field) => {
                                    let at = At::field(stringify!($field));
                                    $field = Some(map.next_value_seed(Seed::<$wire>::at(at))?);
                                })*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok($type {
                            $($field: match $field {
                                Some(value) => $crate::field::object::present!(value $(, $convert)?),
                                None => $crate::field::object::absent!(A, $field $(, $default)?),
                            },)*
                        })
                    }
                }

                deserializer.deserialize_map(Fields(at))
            }
        }
    };
}

/// What a field's value becomes.
macro_rules! present {
    ($value:ident) => {
        $value.into()
    };
    ($value:ident, $convert:ident) => {
        $convert($value)
    };
}

/// A field that may be missing.
pub(super) fn some<T: Into<U>, U>(value: T) -> Option<U> {
    Some(value.into())
}

/// What stands for a missing field, or the refusal.
macro_rules! absent {
    ($access:ident, $field:ident, $default:expr) => {
        $default
    };
    ($access:ident, $field:ident) => {
        return Err(<$access::Error as serde::de::Error>::custom($crate::field::Invalid::missing(stringify!($field))))
    };
}

pub(super) use {absent, object, present};
