//! From facts to obstacles: which, in which order, and the words for the owner.

use std::net::{IpAddr, SocketAddr};

use accord_model::text::for_screen;
use accord_model::why::{
    Agree, Body, Code, Explained, Fact, Holder, Lack, MAX_TEXT, Net, Obstacle, Outcome, Pairing, Standing, Transport,
    Weight,
};
use accord_model::{DeviceId, EntryKey, Timestamp};

mod network;

pub use network::PATIENCE;

/// How long a device of the house takes to be in the network after it got power.
const WAIT: &str = "wait a minute";

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The device as the owner calls it; absent for this machine itself.
    pub device: Option<&'a str>,
    /// Its id.
    pub id: Option<&'a DeviceId>,
    /// Who speaks for it, as the owner calls that: its server or broker. Absent for a device that speaks for itself.
    pub by: Option<&'a str>,
    /// The time now.
    pub now: Timestamp,
}

/// True when the facts say that the device is reached. A connection that is open says nothing when what was asked over it just now
/// came to nothing: the system of a device that hangs keeps it open.
pub fn is_reached(facts: &[Fact]) -> bool {
    let came_to_nothing = |connected: &str| {
        facts.iter().any(|fact| match fact {
            Fact::Tried { address, outcome } => *outcome != Outcome::Answered && address.to_string() == connected,
            _ => false,
        })
    };
    !is_away_there(facts)
        && facts.iter().any(|fact| match fact {
            Fact::Connected { address } => !came_to_nothing(address),
            fact => matches!(fact, Fact::Tried { outcome: Outcome::Answered, .. }),
        })
}

/// It is not reached by the one who speaks for it, who is: what that one said of it while it hangs itself is old.
fn is_away_there(facts: &[Fact]) -> bool {
    let came_to_nothing = |fact: &Fact| matches!(fact, Fact::Tried { outcome, .. } if *outcome != Outcome::Answered);
    facts.iter().any(|fact| matches!(fact, Fact::AwayThere { .. })) && !facts.iter().any(came_to_nothing)
}

/// What stands in the way, the reason first.
pub fn diagnose(subject: Subject<'_>, explained: &Explained) -> Vec<Obstacle> {
    let Explained { app, body, facts } = explained;
    let judge = Judge { subject, app, body: *body, facts, reached: is_reached(facts) };
    let mut found: Vec<Obstacle> = Vec::new();
    for fact in judge.facts {
        found.extend(judge.of_itself(fact));
    }
    if !judge.reached && !is_away_there(judge.facts) {
        if subject.device.is_some() {
            found.extend(judge.way_there().map(|obstacle| judge.by_way(obstacle)));
        }
        found.extend(judge.air());
    }
    // What the owner decided and what this machine lacks explain the rest.
    found.sort_by_key(|obstacle| (obstacle.weight, rank(obstacle.code)));
    found.dedup();
    found
}

fn rank(code: Code) -> u8 {
    match code {
        Code::Blocked => 0,
        Code::ConsentMissing | Code::ConsentRefused | Code::ConsentEnded => 1,
        Code::BridgeOff => 2,
        Code::NoNetwork => 3,
        Code::PortTaken | Code::NotOpen | Code::NoIpv6 => 4,
        Code::KeyChanged
        | Code::SecretWrong
        | Code::UnpairedThere
        | Code::TurnedAway
        | Code::SwitchedOff
        | Code::NotAdded
        | Code::Leaving
        | Code::VersionTooOld => 5,
        Code::PairingPending | Code::NotPaired | Code::TooManyAttempts => 6,
        Code::StrangerThere => 7,
        Code::OtherNetwork => 8,
        _ => 9,
    }
}

struct Judge<'a> {
    subject: Subject<'a>,
    app: &'a str,
    body: Body,
    facts: &'a [Fact],
    reached: bool,
}

impl Judge<'_> {
    /// What a fact means without the others.
    fn of_itself(&self, fact: &Fact) -> Option<Obstacle> {
        let (app, who) = (self.app, self.who());
        let blocks = if self.reached { Weight::Hinders } else { Weight::Blocks };
        Some(match fact {
            Fact::Consent { standing: Standing::Given, .. } => return None,
            Fact::Consent { entry, to, standing, needed } => {
                let weight = if *needed && !self.reached { Weight::Blocks } else { Weight::Hinders };
                self.consent(entry, to.as_ref(), *standing, weight)
            }
            Fact::Blocked => obstacle(
                Code::Blocked,
                Weight::Blocks,
                format!("You blocked {who}."),
                "Lift the block on its page, or with `accord devices set DEVICE --blocked false`.",
            ),
            Fact::Networks { networks } if networks.is_empty() => obstacle(
                Code::NoNetwork,
                blocks,
                "This machine is in no network: no interface but loopback is up with an address.",
                "Connect it by cable or Wi-Fi, then ask again.",
            ),
            Fact::PortTaken { port, transport, holder, instead } => {
                self.port_taken(*port, *transport, holder.as_ref(), *instead, blocks)
            }
            Fact::NotOpen { why } => obstacle(
                Code::NotOpen,
                blocks,
                format!("{app} could not be opened here: {}.", sentence(why)),
                "It is tried again every few moments; what the system says above has to be put right.",
            ),
            Fact::NoIpv6 { interfaces, all } => self.no_ipv6(interfaces, *all, blocks),
            Fact::Stray { interface, addresses, lacks } if !self.reached => self.stray(interface, addresses, *lacks),
            Fact::UnderWay { what } => obstacle(
                Code::UnderWay,
                blocks,
                format!("{} is being {} just now.", capital(&who), sentence(what)),
                "Wait a moment, and ask again.",
            ),
            Fact::KeyChanged { at, why } => obstacle(
                Code::KeyChanged,
                blocks,
                format!(
                    "Whoever answers at {who} proves another key than the device that you paired ({}, noticed {}).",
                    sentence(why),
                    self.ago(*at)
                ),
                "Do not trust it unless you know why: was the app there reset or installed anew? Then unpair it here \
                 and pair again, comparing the codes. Otherwise someone may be pretending to be it.",
            ),
            Fact::SecretWrong { what, remedy } => obstacle(
                Code::SecretWrong,
                blocks,
                format!(
                    "{} is on and answers, and is silent to what is sealed with the {} that you gave: that is not, or no \
                     longer, its own.",
                    capital(&who),
                    sentence(what)
                ),
                remedy.clone(),
            ),
            Fact::TooOld { address, why } => obstacle(
                Code::VersionTooOld,
                if address.is_some() { Weight::Hinders } else { blocks },
                match address {
                    Some(address) => format!("A device at {address} is passed over: {}.", sentence(why)),
                    None => format!("{}: {}.", capital(&who), sentence(why)),
                },
                format!("Update {app} on that device."),
            ),
            Fact::ClockDiffers { seconds } => obstacle(
                Code::ClockDiffers,
                Weight::Hinders,
                format!("Its clock and this machine's differ by about {}.", duration(*seconds)),
                "Set both by network time; names and certificates are good for a time only.",
            ),
            Fact::Pairing { state: Pairing::EndedThere } => obstacle(
                Code::UnpairedThere,
                Weight::Blocks,
                format!("{} ended the pairing: it no longer knows this machine.", capital(&who)),
                "Pair again: `accord pair DEVICE`.",
            ),
            Fact::TurnedAway { at, why } => obstacle(
                Code::TurnedAway,
                blocks,
                format!(
                    "{} answered {} and turned this machine away: {}.",
                    capital(&who),
                    self.ago(*at),
                    sentence(why)
                ),
                "Look on that device whether this machine is still paired and allowed there; if not, unpair here and \
                 pair again.",
            ),
            Fact::SwitchedOff { what, remedy } => obstacle(
                Code::SwitchedOff,
                blocks,
                format!("{} is on, and {} is off on it.", capital(&who), sentence(what)),
                remedy.clone(),
            ),
            Fact::NotAdded { why, remedy } => obstacle(
                Code::NotAdded,
                blocks,
                format!("{} answers, and was not added: {}.", capital(&who), sentence(why)),
                remedy.clone(),
            ),
            Fact::Withholds { what, remedy } => obstacle(
                Code::Withholds,
                Weight::Hinders,
                format!("{} answers, and does not say {}.", capital(&who), sentence(what)),
                remedy.clone(),
            ),
            Fact::Leaving { until } => obstacle(
                Code::Leaving,
                blocks,
                format!(
                    "You removed {who} while it was away. It keeps a place for this machine, and is told to give that up as soon \
                     as it is here, {} from now at the latest.",
                    duration(u64::try_from(until.duration_since(self.subject.now).as_secs()).unwrap_or_default())
                ),
                "Turn it on. To forget it without that, remove it once more, and reset it.",
            ),
            Fact::Pairing { state: Pairing::Pending } => obstacle(
                Code::PairingPending,
                blocks,
                format!("A pairing with {who} waits for an answer."),
                "Compare the codes on both screens, and accept on both.",
            ),
            Fact::Pairing { state: Pairing::NotPaired } => obstacle(
                Code::NotPaired,
                Weight::Hinders,
                format!("{} is not paired with this machine.", capital(&who)),
                "Pair with it: `accord pair DEVICE`.",
            ),
            Fact::AwayThere { by } if is_away_there(self.facts) => obstacle(
                Code::AwayThere,
                Weight::Blocks,
                format!("{} is reached, and does not reach {who} itself.", sentence(by)),
                format!("Look in {} what it says of it. Is it switched on, and is its battery good?", sentence(by)),
            ),
            Fact::TooManyAttempts { seconds } => obstacle(
                Code::TooManyAttempts,
                blocks,
                "Too many pairings failed lately; new ones are held up.",
                format!("Try again in {}.", duration(*seconds)),
            ),
            Fact::Stranger { address } if !self.reached => obstacle(
                Code::StrangerThere,
                Weight::Blocks,
                format!(
                    "At {address}, where {who} was last, a device announces itself that does not know this machine: it \
                     was reset or installed anew, it ended the pairing, or another device has that address now."
                ),
                "If it is the same device, unpair it here and pair again, comparing the codes.",
            ),
            _ => return None,
        })
    }

    /// What the addresses and the attempts say together.
    fn way_there(&self) -> Option<Obstacle> {
        if self.is_unasked() {
            return None;
        }
        let (app, who) = (self.app, self.place());
        let last = self.facts.iter().find_map(|fact| match fact {
            Fact::LastSeen { at, addresses } => Some((*at, addresses.as_slice())),
            _ => None,
        });
        let tried = self.facts.iter().filter_map(|fact| match fact {
            Fact::Tried { address, outcome } => Some((*address, outcome)),
            _ => None,
        });
        let tried: Vec<(SocketAddr, &Outcome)> = tried.collect();
        let at = last.and_then(|(at, _)| at).map_or_else(String::new, |at| format!(", {}", self.ago(at)));
        let best = tried.iter().min_by_key(|(_, outcome)| match outcome {
            Outcome::Answered => 0,
            Outcome::Refused => 1,
            Outcome::Mute => 2,
            Outcome::Failed(_) => 3,
            Outcome::Silent => 4,
            Outcome::NoHost => 5,
            Outcome::NoRoute => 6,
        });
        let answers_at_all = matches!(best, Some((_, Outcome::Refused | Outcome::Mute | Outcome::Failed(_))));
        if let Some((elsewhere, here)) = last.and_then(|(_, addresses)| self.elsewhere(addresses))
            && !answers_at_all
        {
            return Some(obstacle(
                Code::OtherNetwork,
                Weight::Blocks,
                format!(
                    "{} was last seen at {elsewhere}{at}; this machine is in {here} now. They are in different \
                     networks.",
                    capital(&who)
                ),
                "Bring both into the same network: the same Wi-Fi, no guest network, no VPN in between.",
            ));
        }
        let Some((address, outcome)) = best else {
            let remedy = match self.body {
                Body::App => format!("Turn it on, open {app} on it, and see that it is in the same network."),
                Body::Appliance => {
                    format!("Give it power, {WAIT}, and see that it is in the same network as this machine.")
                }
                Body::Server => format!("Start {app} there, and see that its machine is in the same network."),
            };
            let says =
                format!("{} has not been heard in this network{at}, and no address of it is known.", capital(&who));
            let is_nowhere = last.is_none_or(|(_, addresses)| addresses.is_empty());
            return is_nowhere.then(|| obstacle(Code::NoAddress, Weight::Blocks, says, remedy));
        };
        let (code, says) = match outcome {
            Outcome::Answered => return None,
            Outcome::Refused => (Code::AppClosed, self.says_refused(*address)),
            Outcome::Mute => (Code::Mute, self.says_mute(*address)),
            Outcome::NoHost => (
                Code::Asleep,
                match self.body {
                    Body::App => format!(
                        "Nobody in this network has {} any more, where {who} was last{at}: it is off, asleep or gone.",
                        address.ip()
                    ),
                    Body::Appliance => format!(
                        "Nobody in this network has {} any more, where {who} was last{at}: it has no power, it is not in the \
                         network, or it has another address now.",
                        address.ip()
                    ),
                    Body::Server => format!(
                        "Nobody in this network has {} any more, where {who} was last{at}: its machine is off, or has another \
                         address now.",
                        address.ip()
                    ),
                },
            ),
            Outcome::Silent => (
                Code::Asleep,
                match self.body {
                    Body::Appliance => format!(
                        "{} was at {}{at}, and nothing comes back from there: it has no power, it is out of the network, or it \
                         hangs.",
                        capital(&who),
                        address.ip()
                    ),
                    Body::App | Body::Server => format!(
                        "{} was at {}{at}, and nothing comes back from there: it is asleep or off, or a firewall drops what is \
                         sent to it.",
                        capital(&who),
                        address.ip()
                    ),
                },
            ),
            Outcome::NoRoute => {
                (Code::NoRoute, format!("This machine knows no way to {}, where {who} was last{at}.", address.ip()))
            }
            Outcome::Failed(why) => (
                Code::Failed,
                format!("{} was asked at {address}, and it came to nothing: {}.", capital(&who), sentence(why)),
            ),
        };
        Some(obstacle(code, Weight::Blocks, says, self.remedy(outcome)))
    }

    fn says_refused(&self, address: SocketAddr) -> String {
        let (app, who) = (self.app, self.place());
        match self.body {
            Body::App => format!(
                "{address} answers that nothing listens there: the device is on, but {app} is not running on it, or is turned off \
                 there."
            ),
            Body::Appliance => format!(
                "{address} answers that nothing listens there: {who} is on and does not take {app}, or something else has that \
                 address now."
            ),
            Body::Server => format!(
                "{address} answers that nothing listens there: the machine is on, and {app} does not run on it, or at another \
                 number (port)."
            ),
        }
    }

    fn says_mute(&self, address: SocketAddr) -> String {
        let (app, who) = (self.app, self.place());
        let since = self.facts.iter().find_map(|fact| match fact {
            Fact::LastAnswered { at } => Some(format!(" It answered last {}.", self.ago(*at))),
            _ => None,
        });
        let since = since.unwrap_or_else(|| {
            let seen = self.facts.iter().find_map(|fact| match fact {
                Fact::LastSeen { at: Some(at), .. } => Some(format!(" It was seen last {}.", self.ago(*at))),
                _ => None,
            });
            seen.unwrap_or_default()
        });
        match self.body {
            Body::App => format!(
                "{address} takes connections, but {app} does not speak there: it is stopped, or its device half asleep.{since}"
            ),
            Body::Appliance => {
                format!(
                    "{} is there, at {address}, and does not answer what it is asked: it hangs.{since}",
                    capital(&who)
                )
            }
            Body::Server => format!(
                "The machine at {address} is there, and {app} does not speak on it: it hangs, or is starting or stopping.{since}"
            ),
        }
    }

    /// What to do about what came of asking it.
    fn remedy(&self, outcome: &Outcome) -> String {
        let app = self.app;
        match (outcome, self.body) {
            (Outcome::NoRoute, _) => "Bring both into the same network.".to_owned(),
            (Outcome::Refused, Body::App) => format!("Start {app} on it, and see that it may be reached."),
            (Outcome::Mute, Body::App) => {
                format!("Wake the device, open {app} on it, and let the system not restrict it in the background.")
            }
            (Outcome::Failed(_), Body::App) => {
                format!("Restart {app} on it; if that does not help, unpair and pair again.")
            }
            (_, Body::App) => format!("Wake it or turn it on, and open {app} on it."),
            (Outcome::Mute | Outcome::Failed(_), Body::Appliance) => format!(
                "Take its power away for ten seconds, at the wall or by its plug, give it back, and {WAIT}. If that does not help, \
                 see that it is near enough to the Wi-Fi."
            ),
            (Outcome::Refused, Body::Appliance) => format!(
                "If it got power just now, {WAIT}. Else take its power away for ten seconds, and see in its own app that it may be \
                 controlled over the network."
            ),
            (_, Body::Appliance) => format!(
                "Is it switched off at the wall, or its plug pulled? Give it power, and {WAIT}. If it has power, take that away for \
                 ten seconds, and see in your router whether it is in the network."
            ),
            (Outcome::Mute, Body::Server) => {
                format!("If it was started just now, {WAIT}. Else restart {app} there, and look into its log.")
            }
            (Outcome::Refused, Body::Server) => {
                format!("Start {app} there. If it runs at another address or port, add it again with that.")
            }
            (Outcome::Failed(_), Body::Server) => {
                format!("Look into the log of {app} there. If it is at another address now, add it again with that.")
            }
            (_, Body::Server) => format!(
                "Turn its machine on, and start {app} there. If it has another address now, which your router shows, add it again \
                 with that."
            ),
        }
    }

    /// What is so of who speaks for a device, said of the device.
    fn by_way(&self, obstacle: Obstacle) -> Obstacle {
        let Some(by) = self.subject.by else { return obstacle };
        let says = format!("{} is reached by way of {}. {}", capital(&self.who()), for_screen(by, 64), obstacle.says);
        Obstacle { says, ..obstacle }
    }

    fn consent(&self, entry: &EntryKey, one: Option<&DeviceId>, standing: Standing, weight: Weight) -> Obstacle {
        let (code, what) = match standing {
            Standing::Refused => (Code::ConsentRefused, "You refused"),
            Standing::Withdrawn => (Code::ConsentEnded, "You took back your consent to"),
            Standing::Expired => (Code::ConsentEnded, "The time is over for which you agreed to"),
            Standing::Lapsed => (Code::ConsentEnded, "What is shared is more than you agreed to in"),
            Standing::Undecided | Standing::Given => (Code::ConsentMissing, "You have not agreed to"),
        };
        let to = match (one, self.subject.id) {
            (Some(_), Some(id)) => format!(" --to {id}"),
            _ => String::new(),
        };
        let whom = if one.is_some() { format!(" for {}", self.who()) } else { String::new() };
        let then = if weight == Weight::Blocks { ", so nothing is sent" } else { "" };
        let missing = obstacle(
            code,
            weight,
            format!("{what} `{entry}`{whom}{then}."),
            format!("Read what it shares under Privacy, and agree there or with `accord consent grant {entry}{to}`."),
        );
        Obstacle { agree: Some(Agree { entry: entry.clone(), to: one.cloned() }), ..missing }
    }

    fn port_taken(
        &self,
        port: u16,
        transport: Transport,
        holder: Option<&Holder>,
        instead: Option<u16>,
        blocks: Weight,
    ) -> Obstacle {
        let kind = match transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        };
        let holder = match holder {
            Some(Holder { program: Some(program), pid: Some(pid) }) => format!("`{}` (process {pid})", cut(program)),
            Some(Holder { program: Some(program), .. }) => format!("`{}`", cut(program)),
            Some(_) => "a program of another user".to_owned(),
            None => "another program".to_owned(),
        };
        let app = self.app;
        let (weight, then) = match instead {
            None => (blocks, format!("so {app} could not be opened")),
            Some(instead) if instead == port => (
                Weight::Hinders,
                format!("which shares it with {app} here; each datagram to this machine reaches only one of both"),
            ),
            Some(instead) => (
                Weight::Hinders,
                format!("so {app} listens on {instead} here; devices that look only at {port} do not find it"),
            ),
        };
        obstacle(
            Code::PortTaken,
            weight,
            format!("{kind} port {port} is taken by {holder}, {then}."),
            format!("Quit that program, or keep using it instead of {app} here: one of both per machine."),
        )
    }

    /// The device's last address and our networks, when none of them has it.
    fn elsewhere(&self, addresses: &[SocketAddr]) -> Option<(IpAddr, String)> {
        let networks = self.networks();
        if networks.is_empty() {
            return None;
        }
        // Link-local addresses are the same in every network, and say nothing.
        let telling: Vec<IpAddr> =
            addresses.iter().map(|address| address.ip().to_canonical()).filter(|ip| !is_link_local(*ip)).collect();
        let first = telling.first()?;
        let is_here = |ip: &IpAddr| ip.is_loopback() || networks.iter().any(|net| net.has(*ip));
        if telling.iter().any(is_here) {
            return None;
        }
        let shown: Vec<&Net> = networks.iter().filter(|net| !is_link_local(net.address)).collect();
        let shown: Vec<String> = if shown.is_empty() {
            networks.iter().map(Net::to_string).collect()
        } else {
            shown.iter().map(ToString::to_string).collect()
        };
        Some((*first, list(shown.iter().take(4).map(String::as_str))))
    }

    /// Nothing was tried because the owner has not agreed, or there is no network.
    fn is_unasked(&self) -> bool {
        self.facts.iter().any(|fact| match fact {
            Fact::Consent { standing, needed: true, .. } => *standing != Standing::Given,
            Fact::Networks { networks } => networks.is_empty(),
            Fact::Blocked | Fact::NotOpen { .. } | Fact::PortTaken { instead: None, .. } | Fact::UnderWay { .. } => {
                true
            }
            Fact::Stray { lacks, .. } => *lacks != Lack::Relayed,
            _ => false,
        })
    }

    fn who(&self) -> String {
        self.subject.device.map_or_else(|| "the device".to_owned(), |name| for_screen(name, 64))
    }

    /// Whoever is at the address: the device, or who speaks for it.
    fn place(&self) -> String {
        self.subject.by.map_or_else(|| self.who(), |by| for_screen(by, 64))
    }

    fn ago(&self, at: Timestamp) -> String {
        let seconds = self.subject.now.duration_since(at).as_secs();
        match u64::try_from(seconds) {
            Ok(seconds) if seconds >= 5 => format!("{} ago", duration(seconds)),
            _ => "just now".to_owned(),
        }
    }
}

fn obstacle(code: Code, weight: Weight, says: impl Into<String>, remedy: impl Into<String>) -> Obstacle {
    Obstacle { code, weight, says: says.into(), remedy: remedy.into(), agree: None }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn cut(text: &str) -> String {
    for_screen(text, MAX_TEXT)
}

fn sentence(text: &str) -> String {
    cut(text.trim().trim_end_matches('.'))
}

fn capital(text: &str) -> String {
    match text.strip_prefix("the device") {
        Some(rest) => format!("The device{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
