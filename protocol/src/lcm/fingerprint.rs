//! The eight bytes that tell the types of messages apart: a hash of names and types of the members.

/// What a message is made of. Its own name does not enter the fingerprint, so types with equal members have equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// Package and name, for people.
    pub name: &'static str,
    /// In order.
    pub members: &'static [Member],
}

/// One member of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Of one element, if it is an array.
    pub kind: Kind,
    /// Empty unless it is an array.
    pub dimensions: &'static [Dimension],
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A type of LCM's own, by its name there, as `int32_t`.
    Primitive(&'static str),
    /// Another message, whose fields stand there without a fingerprint.
    Nested(&'static Type),
}

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Always that many elements, as in the declaration.
    Constant(&'static str),
    /// As many as the earlier member of this name says.
    Variable(&'static str),
}

impl Type {
    /// The hash of the members alone, without what nested types add.
    pub const fn base(&self) -> u64 {
        let mut hash = Hash(0x1234_5678);
        let mut i = 0;
        while i < self.members.len() {
            let member = &self.members[i];
            hash = hash.text(member.name);
            if let Kind::Primitive(name) = member.kind {
                hash = hash.text(name);
            }
            hash = hash.step(member.dimensions.len() as i64);
            let mut d = 0;
            while d < member.dimensions.len() {
                hash = match member.dimensions[d] {
                    Dimension::Constant(size) => hash.step(0).text(size),
                    Dimension::Variable(size) => hash.step(1).text(size),
                };
                d += 1;
            }
            i += 1;
        }
        hash.0.cast_unsigned()
    }

    /// What a message of this type begins with. No type can contain itself, as they refer to each other by value.
    pub const fn fingerprint(&self) -> u64 {
        let mut sum = self.base();
        let mut i = 0;
        while i < self.members.len() {
            if let Kind::Nested(nested) = self.members[i].kind {
                sum = sum.wrapping_add(nested.fingerprint());
            }
            i += 1;
        }
        sum.rotate_left(1)
    }
}

/// The running hash; its right shift keeps the sign.
#[derive(Clone, Copy)]
struct Hash(i64);

impl Hash {
    const fn step(self, c: i64) -> Self {
        Self(((self.0 << 8) ^ (self.0 >> 55)).wrapping_add(c))
    }

    const fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut hash = self.step(bytes.len() as i64);
        let mut i = 0;
        while i < bytes.len() {
            // Other implementations take bytes as signed characters; names are ASCII, where both agree.
            hash = hash.step(bytes[i] as i64);
            i += 1;
        }
        hash
    }
}
