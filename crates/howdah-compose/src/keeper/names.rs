//! Who is called what on which network. Pure: questions in, answers out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::model::NetworkMode;
use crate::stack::{Phase, Stack};

/// Short, because `scale` changes the answer.
const TTL: u32 = 5;

/// The names of one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Addresses by network key and lower-case name.
    forward: BTreeMap<String, BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Container and network by address.
    reverse: BTreeMap<Ipv4Addr, String>,
    /// The networks an address's owner is on.
    members: BTreeMap<Ipv4Addr, BTreeSet<String>>,
    /// Servers a container asks instead of the host's, by address.
    servers: BTreeMap<Ipv4Addr, Vec<IpAddr>>,
    /// The networks' full names by key.
    full: BTreeMap<String, String>,
    /// Whose networks all are internal: the world is not asked for them, since questions can carry data out of a network
    /// without a way out (CVE-2024-29018).
    confined: BTreeSet<Ipv4Addr>,
}

/// What to do with a question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This is it.
    Here(Message),
    /// The stack does not know; ask these servers, or the host's when there are none.
    Elsewhere(Vec<IpAddr>),
}

impl Names {
    /// Collects the names of the containers that run: service, container, short id, aliases.
    pub(crate) fn of(stack: &Stack) -> Self {
        let mut names = Self {
            full: stack
                .networks
                .iter()
                .map(|(key, network)| (key.clone(), network.name.clone()))
                .collect(),
            ..Self::default()
        };
        let is_internal = |key: &String| {
            stack
                .networks
                .get(key)
                .is_some_and(|network| network.internal)
        };
        let is_up = |phase: &Phase| {
            matches!(
                phase,
                Phase::Running { .. } | Phase::Starting | Phase::Stopping { .. }
            )
        };
        for container in stack
            .containers
            .values()
            .filter(|container| is_up(&container.phase))
        {
            let section = &container.plan.service.container;
            let NetworkMode::Networks(wanted) = &section.network else {
                continue;
            };
            for (key, address) in &container.addresses {
                let Some(attachment) = wanted.get(key) else {
                    continue;
                };
                let mut own = vec![
                    container.name.clone(),
                    container.id.chars().take(12).collect(),
                ];
                if !container.one_off || container.use_aliases {
                    own.push(container.service().to_owned());
                    own.extend(attachment.aliases.iter().cloned());
                }
                own.extend(section.hostname.clone());
                let network = names.forward.entry(key.clone()).or_default();
                for name in own
                    .into_iter()
                    .map(|name| name.to_lowercase())
                    .collect::<BTreeSet<_>>()
                {
                    network.entry(name).or_default().push(*address);
                }
                let full = stack.networks.get(key).map_or(key, |network| &network.name);
                names
                    .reverse
                    .insert(*address, format!("{}.{full}.", container.name));
                names
                    .members
                    .insert(*address, container.addresses.keys().cloned().collect());
                if container.addresses.keys().all(is_internal) {
                    names.confined.insert(*address);
                }
                if !section.dns.servers.is_empty() {
                    names.servers.insert(*address, section.dns.servers.clone());
                }
            }
        }
        names
    }

    /// Answers a question that came from `source` on network `network`; `turn` rotates the answers.
    pub(crate) fn answer(
        &self,
        query: &Message,
        network: &str,
        source: IpAddr,
        turn: usize,
    ) -> Answer {
        let source = match source {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let elsewhere = || {
            if self.confined.contains(&source) {
                return reply(query, ResponseCode::NXDomain, Vec::new());
            }
            Answer::Elsewhere(self.servers.get(&source).cloned().unwrap_or_default())
        };
        let [question] = query.queries.as_slice() else {
            return elsewhere();
        };
        if query.metadata.op_code != OpCode::Query || question.query_class() != DNSClass::IN {
            return elsewhere();
        }
        let name = question.name();
        if question.query_type() == RecordType::PTR {
            let owner = reversed(name).and_then(|address| self.reverse.get(&address));
            let target = owner.and_then(|owner| Name::from_ascii(owner).ok());
            return target.map_or_else(elsewhere, |target| {
                reply(
                    query,
                    ResponseCode::NoError,
                    vec![Record::from_rdata(
                        name.clone(),
                        TTL,
                        RData::PTR(PTR(target)),
                    )],
                )
            });
        }
        let here = BTreeSet::from([network.to_owned()]);
        let networks = self.members.get(&source).unwrap_or(&here);
        let Some(mut addresses) = self.find(&name.to_ascii().to_lowercase(), networks) else {
            return elsewhere();
        };
        if question.query_type() != RecordType::A {
            // The name exists and has no such record: an empty answer, or resolvers would ask the world.
            return reply(query, ResponseCode::NoError, Vec::new());
        }
        let count = addresses.len();
        addresses.rotate_left(turn % count);
        let record = |address| Record::from_rdata(name.clone(), TTL, RData::A(A(address)));
        let records = addresses.into_iter().map(record).collect();
        reply(query, ResponseCode::NoError, records)
    }

    /// A bare name, or `name.network`, the network by its key or its full name.
    fn find(&self, name: &str, networks: &BTreeSet<String>) -> Option<Vec<Ipv4Addr>> {
        let name = name.trim_end_matches('.');
        let addresses = |name: &str, key: &String| self.forward.get(key)?.get(name).cloned();
        let bare = networks.iter().find_map(|key| addresses(name, key));
        bare.or_else(|| {
            let (name, suffix) = name.rsplit_once('.')?;
            networks
                .iter()
                .filter(|key| {
                    let full = self.full.get(*key);
                    key.eq_ignore_ascii_case(suffix)
                        || full.is_some_and(|full| full.eq_ignore_ascii_case(suffix))
                })
                .find_map(|key| addresses(name, key))
        })
    }
}

/// `4.3.2.1.in-addr.arpa.` (RFC 1035, 3.5).
fn reversed(name: &Name) -> Option<Ipv4Addr> {
    let text = name.to_ascii().to_lowercase();
    let octets = text.trim_end_matches('.').strip_suffix(".in-addr.arpa")?;
    let mut parts: Vec<u8> = octets
        .split('.')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    parts.reverse();
    <[u8; 4]>::try_from(parts).ok().map(Ipv4Addr::from)
}

fn reply(query: &Message, code: ResponseCode, answers: Vec<Record>) -> Answer {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(query.queries.iter().cloned());
    message.add_answers(answers);
    Answer::Here(message)
}

/// The answer when nobody could be asked.
pub(crate) fn failure(query: &Message) -> Message {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.response_code = ResponseCode::ServFail;
    message.add_queries(query.queries.iter().cloned());
    message
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn names() -> Names {
        let entry = |pairs: &[(&str, &[[u8; 4]])]| -> BTreeMap<String, Vec<Ipv4Addr>> {
            let addresses = |list: &[[u8; 4]]| list.iter().map(|octets| (*octets).into()).collect();
            pairs
                .iter()
                .map(|(name, list)| ((*name).to_owned(), addresses(list)))
                .collect()
        };
        let front = entry(&[
            ("web", &[[10, 0, 0, 2], [10, 0, 0, 3]]),
            ("both", &[[10, 0, 0, 4]]),
        ]);
        let back = entry(&[("db", &[[10, 1, 0, 2]]), ("both", &[[10, 1, 0, 4]])]);
        let members = [
            ([10, 0, 0, 2], &["front"][..]),
            ([10, 0, 0, 4], &["back", "front"]),
        ];
        Names {
            forward: BTreeMap::from([("front".to_owned(), front), ("back".to_owned(), back)]),
            reverse: BTreeMap::from([([10, 0, 0, 2].into(), "p-web-1.p_front.".to_owned())]),
            members: members
                .iter()
                .map(|(address, keys)| {
                    (
                        (*address).into(),
                        keys.iter().map(|key| (*key).to_owned()).collect(),
                    )
                })
                .collect(),
            servers: BTreeMap::from([([10, 0, 0, 2].into(), vec![[9, 9, 9, 9].into()])]),
            full: BTreeMap::from([("front".to_owned(), "p_front".to_owned())]),
            confined: BTreeSet::from([[10, 0, 0, 77].into()]),
        }
    }

    fn ask(name: &str, kind: RecordType, source: [u8; 4], turn: usize) -> String {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        match names().answer(&query, "front", source.into(), turn) {
            Answer::Elsewhere(servers) => format!("elsewhere {servers:?}"),
            Answer::Here(answer) => {
                assert_eq!(answer.metadata.id, 7);
                let data: Vec<String> = answer
                    .answers
                    .iter()
                    .map(|record| record.data.to_string())
                    .collect();
                format!("{:?} {}", answer.metadata.response_code, data.join(" "))
            }
        }
    }

    #[test]
    fn answers_rotate_and_ignore_case_and_the_last_dot() {
        assert_eq!(
            ask("web.", RecordType::A, [10, 0, 0, 4], 0),
            "NoError 10.0.0.2 10.0.0.3"
        );
        assert_eq!(
            ask("WEB", RecordType::A, [10, 0, 0, 4], 1),
            "NoError 10.0.0.3 10.0.0.2"
        );
        assert_eq!(
            ask("web.front.", RecordType::A, [10, 0, 0, 4], 0),
            "NoError 10.0.0.2 10.0.0.3"
        );
    }

    #[test]
    fn a_name_may_say_its_network_as_addresses_do() {
        for name in ["web.p_front.", "web.P_Front.", "WEB.front"] {
            let answer = ask(name, RecordType::A, [10, 0, 0, 4], 0);
            assert_eq!(answer, "NoError 10.0.0.2 10.0.0.3", "{name}");
        }
    }

    #[test]
    fn a_network_without_a_way_out_does_not_ask_the_world() {
        let confined = [10, 0, 0, 77];
        assert_eq!(
            ask("web.", RecordType::A, confined, 0),
            "NoError 10.0.0.2 10.0.0.3"
        );
        assert_eq!(ask("example.com.", RecordType::A, confined, 0), "NXDomain ");
        let address = "9.9.9.9.in-addr.arpa.";
        assert_eq!(ask(address, RecordType::PTR, confined, 0), "NXDomain ");
    }

    #[test]
    fn a_name_that_exists_has_no_other_records_and_is_not_asked_for_elsewhere() {
        assert_eq!(ask("web.", RecordType::AAAA, [10, 0, 0, 4], 0), "NoError ");
    }

    #[test]
    fn only_the_networks_one_is_on() {
        assert_eq!(
            ask("db.", RecordType::A, [10, 0, 0, 4], 0),
            "NoError 10.1.0.2"
        );
        assert_eq!(
            ask("db.", RecordType::A, [10, 0, 0, 2], 0),
            "elsewhere [9.9.9.9]"
        );
        assert_eq!(
            ask("example.com.", RecordType::A, [10, 0, 0, 4], 0),
            "elsewhere []"
        );
        // Somebody on the bridge whom we do not know sees that network only.
        assert_eq!(
            ask("both.", RecordType::A, [10, 0, 0, 99], 0),
            "NoError 10.0.0.4"
        );
        assert_eq!(ask("db.", RecordType::A, [10, 0, 0, 99], 0), "elsewhere []");
    }

    #[test]
    fn addresses_have_names() {
        let answer = ask("2.0.0.10.in-addr.arpa.", RecordType::PTR, [10, 0, 0, 4], 0);
        assert_eq!(answer, "NoError p-web-1.p_front.");
        assert_eq!(
            ask("9.9.9.9.in-addr.arpa.", RecordType::PTR, [10, 0, 0, 4], 0),
            "elsewhere []"
        );
    }
}
