//! Announces the robot in the local network, so that it is found by name.
//!
//! The service is `_waldo._tcp`, its instance named after the host. If another responder (avahi) already answers for
//! `<host>.local`, that name is left to it and only the service is announced.

mod service_only;

use std::net::SocketAddr;
use std::time::Duration;

use mdns_sd::{DaemonEvent, HostnameResolutionEvent, Receiver, ServiceDaemon, ServiceInfo};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::service_only::Service;
use crate::tls::Names;

const PROPERTIES: [(&str, &str); 2] = [("path", "/"), ("version", env!("CARGO_PKG_VERSION"))];

const SERVICE: &str = "_waldo._tcp.local.";

/// How long a responder may take to answer for the host name.
const LISTEN: Duration = Duration::from_millis(1000);

/// How long the farewell may take, so that the program ends promptly.
const FAREWELL: Duration = Duration::from_millis(100);

/// Announces the robot that listens there until `shutdown`: at that address, or at all of this machine if it is
/// unspecified. Failure is a warning: the robot can be reached by its addresses.
pub async fn announce(listening: SocketAddr, shutdown: CancellationToken) {
    if let Err(error) = run(listening, &shutdown).await {
        tracing::warn!("not announced over mDNS: {error}; the robot can be reached by its addresses");
    }
}

async fn run(listening: SocketAddr, shutdown: &CancellationToken) -> Result<(), mdns_sd::Error> {
    let daemon = Daemon(ServiceDaemon::new()?);
    let events = daemon.0.monitor()?;
    let names = Names::of_this_machine();
    let host = if names.short_host() == "localhost" { "waldo" } else { names.short_host() };
    let taken = tokio::select! {
        taken = is_answered(&daemon.0, host) => taken?,
        () = shutdown.cancelled() => return Ok(()),
    };
    if taken {
        drop(daemon);
        return leave_name(host, &names, listening, shutdown).await.map_err(|e| mdns_sd::Error::Msg(e.to_string()));
    }
    let service = service(host, listening)?;
    tracing::debug!(name = service.get_fullname(), host = service.get_hostname(), "announcing over mDNS");
    let name = service.get_fullname().to_owned();
    daemon.0.register(service)?;
    tokio::select! {
        () = watch(&events) => {}
        () = shutdown.cancelled() => {}
    }
    // Tells the network that the service is gone; whoever misses it forgets after two minutes.
    let farewell = daemon.0.unregister(&name)?;
    let _ = timeout(FAREWELL, farewell.recv_async()).await;
    Ok(())
}

/// Ends the daemon's thread, come what may.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It fails only if the thread has ended already.
        let _ = self.0.shutdown();
    }
}

/// Does a responder already answer for `<host>.local`?
async fn is_answered(daemon: &ServiceDaemon, host: &str) -> Result<bool, mdns_sd::Error> {
    let millis = u64::try_from(LISTEN.as_millis()).unwrap_or(u64::MAX);
    let answers = daemon.resolve_hostname(&format!("{host}.local."), Some(millis))?;
    while let Ok(event) = answers.recv_async().await {
        match event {
            HostnameResolutionEvent::AddressesFound(..) => return Ok(true),
            HostnameResolutionEvent::SearchTimeout(_) | HostnameResolutionEvent::SearchStopped(_) => break,
            _ => {}
        }
    }
    Ok(false)
}

/// Announces the service only: somebody else answers for the host.
async fn leave_name(
    host: &str,
    names: &Names,
    listening: SocketAddr,
    shutdown: &CancellationToken,
) -> std::io::Result<()> {
    tracing::debug!(host, "another responder answers for the host; announcing the service only");
    let kind = SERVICE.trim_end_matches('.');
    let service = Service { kind, host: host.to_owned(), port: listening.port(), properties: PROPERTIES };
    if listening.ip().is_unspecified() {
        service_only::announce(&service, names.addresses(), shutdown).await
    } else {
        service_only::announce(&service, [listening.ip()], shutdown).await
    }
}

fn service(host: &str, listening: SocketAddr) -> Result<ServiceInfo, mdns_sd::Error> {
    let target = format!("{host}.local.");
    let properties = PROPERTIES;
    let (ip, port) = (listening.ip(), listening.port());
    if ip.is_unspecified() {
        Ok(ServiceInfo::new(SERVICE, host, &target, "", port, &properties[..])?.enable_addr_auto())
    } else {
        ServiceInfo::new(SERVICE, host, &target, ip, port, &properties[..])
    }
}

/// Logs what goes wrong; returns when the daemon has ended.
async fn watch(events: &Receiver<DaemonEvent>) {
    let mut complained = false;
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::Error(error) if !complained => {
                complained = true;
                tracing::warn!("mDNS: {error}");
            }
            DaemonEvent::NameChange(change) => {
                tracing::info!("another machine has the name {}; announced as {}", change.original, change.new_name);
            }
            event => tracing::trace!("mDNS: {event:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const EVERYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8000);

    #[test]
    fn only_the_address_that_is_listened_on_is_announced() {
        let service = service("robot", SocketAddr::from(([192, 168, 1, 5], 8000))).unwrap();
        assert!(!service.is_addr_auto());
        assert_eq!(service.get_addresses().iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.168.1.5"]);
    }

    #[test]
    fn the_service_is_named_after_the_host_and_tells_path_and_version() {
        let service = service("robot", EVERYWHERE).unwrap();
        assert_eq!(service.get_fullname(), "robot._waldo._tcp.local.");
        assert_eq!(service.get_hostname(), "robot.local.");
        assert_eq!(service.get_property_val_str("path"), Some("/"));
        assert_eq!(service.get_property_val_str("version"), Some(env!("CARGO_PKG_VERSION")));
        assert!(service.is_addr_auto());
    }
}
