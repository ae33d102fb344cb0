//! Plain wires between namespaces, which carry everything at once: for what depends on addresses and routes, not on
//! the quality of a network.

use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Result;

use super::namespace::Namespace;

/// A wire from one namespace to another (a veth pair). It is gone when one of them is.
#[derive(Debug)]
pub struct Wire {
    one: Namespace,
    /// Its interface in the first namespace.
    name: String,
}

impl Wire {
    /// Lays a wire. Each end has a namespace, and an address with the length of its prefix, such as `10.78.1.1/24` or
    /// `fd78::1/64`: this subnet can be reached from there, and nothing behind it.
    ///
    /// # Errors
    /// If this process may not change networks, or an address is none.
    pub fn lay([one, other]: [(&Namespace, &str); 2]) -> Result<Self> {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [near, far] = ["a", "b"].map(|end| format!("wire{number}{end}"));
        let elsewhere = other.0.path();
        one.0.ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &elsewhere])?;
        up(one, &near)?;
        up(other, &far)?;
        Ok(Self { one: one.0.clone(), name: near })
    }

    /// Pulls it out: its addresses stay, and nothing passes any more.
    ///
    /// # Errors
    /// If a namespace is gone.
    pub fn pull(&self) -> Result<()> {
        self.one.ip(&["link", "set", &self.name, "down"])
    }
}

fn up((namespace, address): (&Namespace, &str), interface: &str) -> Result<()> {
    // Nobody else has this address; a new IPv6 address could not be used before this is found out.
    namespace.ip(&["address", "add", address, "dev", interface, "nodad"])?;
    namespace.ip(&["link", "set", interface, "up"])
}
