//! Announces the service alone, for a machine whose host name another responder answers for.
//!
//! Says where the service is (PTR, SRV, TXT of DNS-SD, RFC 6763) and leaves the addresses of `<host>.local` to that
//! responder. IPv4 only: every responder that shares a machine with this one listens there too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::{PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, ResourceRecord, SimpleDnsError};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Seconds that others may remember where the service is: RFC 6762 names these for records with and without a host.
const TTL_HOST: u32 = 120;
const TTL: u32 = 4500;
/// Nobody who is alone on a machine may flood it with answers.
const ANSWERS_APART: Duration = Duration::from_millis(20);

/// Where the service is.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// The service's type, such as `_waldo._tcp.local`.
    pub(super) kind: &'static str,
    /// Name of the instance: the short host name.
    pub(super) host: String,
    pub(super) port: u16,
    /// Keys and values of the text record.
    pub(super) properties: [(&'static str, &'static str); 2],
}

/// Answers on every interface with one of these addresses until `shutdown`.
pub(super) async fn announce(
    service: &Service,
    addresses: impl IntoIterator<Item = IpAddr>,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let mut interfaces = JoinSet::new();
    for address in addresses {
        let IpAddr::V4(address) = address else { continue };
        let (socket, service, shutdown) = (open(address)?, service.clone(), shutdown.clone());
        interfaces.spawn(async move {
            if let Err(error) = serve(&socket, &service, &shutdown).await {
                tracing::warn!(%address, "mDNS: {error}");
            }
        });
    }
    while interfaces.join_next().await.is_some() {}
    Ok(())
}

/// A socket that hears and speaks mDNS on the interface of this address alone, beside other responders.
fn open(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_multicast_if_v4(&address)?;
    // RFC 6762, section 11: whoever still checks expects it.
    socket.set_multicast_ttl_v4(255)?;
    socket.join_multicast_v4(&GROUP, &address)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    UdpSocket::from_std(socket.into())
}

async fn serve(socket: &UdpSocket, service: &Service, shutdown: &CancellationToken) -> io::Result<()> {
    let everybody = SocketAddr::from((GROUP, PORT));
    let announcement = service.announcement(TTL_HOST, TTL).map_err(io::Error::other)?;
    socket.send_to(&announcement, everybody).await?;
    let again = sleep(Duration::from_secs(1));
    tokio::pin!(again);
    let (mut announced, mut buffer) = (false, [0; 9000]);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = &mut again, if !announced => {
                announced = true;
                socket.send_to(&announcement, everybody).await?;
            }
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received?;
                let Some(answer) = service.answer(&buffer[..length], from.port() != PORT) else { continue };
                // Who asks from another port is no responder and hears the answer only if it comes to that port.
                let to = if from.port() == PORT { everybody } else { from };
                socket.send_to(&answer, to).await?;
                sleep(ANSWERS_APART).await;
            }
        }
    }
    let farewell = service.announcement(0, 0).map_err(io::Error::other)?;
    socket.send_to(&farewell, everybody).await?;
    Ok(())
}

impl Service {
    fn records(&self, ttl_host: u32, ttl: u32) -> Result<Vec<ResourceRecord<'static>>, SimpleDnsError> {
        let kind = Name::new(self.kind)?;
        let instance = Name::new(&format!("{}.{}", self.host, self.kind))?.into_owned();
        let target = Name::new(&format!("{}.local", self.host))?.into_owned();
        let mut text = TXT::new();
        for (key, value) in self.properties {
            text.add_attribute(key, Some(value.as_bytes()))?;
        }
        let record = |name: &Name<'static>, ttl, data| ResourceRecord::new(name.clone(), CLASS::IN, ttl, data);
        let location = SRV { priority: 0, weight: 0, port: self.port, target };
        Ok(vec![
            record(&Name::new("_services._dns-sd._udp.local")?, ttl, RData::PTR(PTR(kind.clone()))),
            record(&kind, ttl, RData::PTR(PTR(instance.clone()))),
            record(&instance, ttl_host, RData::SRV(location)).with_cache_flush(true),
            record(&instance, ttl, RData::TXT(text)).with_cache_flush(true),
        ])
    }

    fn announcement(&self, ttl_host: u32, ttl: u32) -> Result<Vec<u8>, SimpleDnsError> {
        let mut packet = Packet::new_reply(0);
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        packet.answers = self.records(ttl_host, ttl)?;
        packet.build_bytes_vec_compressed()
    }

    /// The answer to a query; none for what is not asked of this service. `legacy`: the asker knows plain DNS only,
    /// where an answer repeats the question.
    fn answer(&self, query: &[u8], legacy: bool) -> Option<Vec<u8>> {
        let query = Packet::parse(query).ok().filter(|packet| !packet.has_flags(PacketFlag::RESPONSE))?;
        let records = self.records(TTL_HOST, TTL).ok()?;
        let asked = |record: &&ResourceRecord<'static>| {
            let fits = |q: &simple_dns::Question<'_>| {
                same_name(&q.qname, &record.name) && record.match_qtype(q.qtype) && record.match_qclass(q.qclass)
            };
            let known = query.answers.iter().any(|answer| answer.rdata == record.rdata && answer.ttl >= record.ttl / 2);
            query.questions.iter().any(fits) && !known
        };
        let answers: Vec<_> = records.iter().filter(asked).cloned().collect();
        if answers.is_empty() {
            return None;
        }
        let mut reply = Packet::new_reply(if legacy { query.id() } else { 0 });
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        // What the asker will want to know next.
        reply.additional_records = records.into_iter().skip(2).filter(|record| !answers.contains(record)).collect();
        reply.answers = answers;
        if legacy {
            reply.questions = query.questions;
            for record in reply.answers.iter_mut().chain(&mut reply.additional_records) {
                record.cache_flush = false;
            }
        }
        reply.build_bytes_vec_compressed().ok()
    }
}

/// Names of DNS are compared without regard to case.
fn same_name(one: &Name<'_>, other: &Name<'_>) -> bool {
    one.to_string().eq_ignore_ascii_case(&other.to_string())
}

#[cfg(test)]
mod tests {
    use simple_dns::{QCLASS, QTYPE, Question, TYPE};

    use super::*;

    fn service() -> Service {
        Service {
            kind: "_waldo._tcp.local",
            host: "robot".to_owned(),
            port: 8000,
            properties: [("path", "/"), ("version", "1")],
        }
    }

    fn query(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        let name = Name::new(name).unwrap();
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn whoever_looks_for_robots_is_told_where_this_one_is() {
        let answer = service().answer(&query("_WALDO._tcp.local", TYPE::PTR), false).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!((answer.id(), answer.questions.len()), (0, 0));
        assert!(
            matches!(&answer.answers[0].rdata, RData::PTR(PTR(name)) if name.to_string() == "robot._waldo._tcp.local")
        );
        let location = answer.additional_records.iter().find_map(|record| match &record.rdata {
            RData::SRV(srv) => Some((srv.target.to_string(), srv.port)),
            _ => None,
        });
        assert_eq!(location, Some(("robot.local".to_owned(), 8000)));
    }

    #[test]
    fn the_address_of_the_host_is_left_to_the_other_responder() {
        for kind in [TYPE::A, TYPE::AAAA] {
            assert_eq!(service().answer(&query("robot.local", kind), false), None);
        }
        let announcement = service().announcement(TTL_HOST, TTL).unwrap();
        let announcement = Packet::parse(&announcement).unwrap();
        assert!(announcement.answers.iter().all(|r| !matches!(r.rdata, RData::A(_) | RData::AAAA(_))));
        assert_eq!(announcement.answers.len(), 4);
    }

    #[test]
    fn a_plain_dns_client_gets_its_question_back() {
        let answer = service().answer(&query("robot._waldo._tcp.local", TYPE::SRV), true).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!((answer.id(), answer.questions.len(), answer.answers.len()), (7, 1, 1));
        assert!(!answer.answers[0].cache_flush);
    }

    #[test]
    fn an_answer_that_the_asker_knows_is_not_repeated() {
        let known = query("_waldo._tcp.local", TYPE::PTR);
        let mut packet = Packet::parse(&known).unwrap();
        packet.answers = service().records(TTL_HOST, TTL).unwrap();
        assert_eq!(service().answer(&packet.build_bytes_vec().unwrap(), false), None);
    }

    #[test]
    fn noise_and_foreign_answers_are_passed_over() {
        assert_eq!(service().answer(b"", false), None);
        assert_eq!(service().answer(&[0xff; 40], false), None);
        let own = service().announcement(TTL_HOST, TTL).unwrap();
        assert_eq!(service().answer(&own, false), None);
    }
}
