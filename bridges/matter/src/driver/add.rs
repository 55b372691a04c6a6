//! Adding a device by its code: somebody who waits and whom the code may be for gets a place in the fabric.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use accord_model::why::Outcome;
use accord_model::{CallError, CallId};
use matter_commissioning::SetupPayload;

use super::commission::{self, NotAdded};
use super::hand::{Adding, Hand, Order, in_words};
use super::mind::Saying;
use super::nodes::Refused;
use super::way::End;

/// Names under which the code was tried and was not theirs; the oldest ones are forgotten.
const MOST_NOT_ITS: usize = 256;
/// A device takes another name each time it waits, and closes its window after twenty wrong codes (11.19.8.1): codes are
/// guessed at one address no more often than that.
const GUESSES: usize = 5;
/// Places at which it is looked whether the device has its place already.
const MOST_PLACES: usize = 4;
/// An attempt may come to its end before the device is removed, for so long: what it began would hold the device up for a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(6);

/// Who does not have the code.
#[derive(Default)]
pub(crate) struct NotIts(VecDeque<(String, IpAddr)>);

impl NotIts {
    fn note(&mut self, name: String, at: IpAddr) {
        if self.0.len() >= MOST_NOT_ITS {
            self.0.pop_front();
        }
        self.0.push_back((name, at));
    }

    fn has(&self, name: &str, places: &[SocketAddr]) -> bool {
        let guesses = |at: &SocketAddr| self.0.iter().filter(|(_, ip)| *ip == at.ip()).count();
        self.0.iter().any(|(of, _)| of == name) || places.iter().any(|at| guesses(at) >= GUESSES)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Hand {
    /// Waits until somebody is here whom the code may be for, and gives them their place.
    pub(super) async fn add(&mut self) -> End {
        let Some(adding) = &self.adding else { return End::Gone };
        let tests = adding.tests;
        let payload = match commission::payload(&adding.code) {
            Ok(payload) => payload,
            Err(why) => return End::Lost(why.clone(), Outcome::Failed(why)),
        };
        let (mut end, all) = loop {
            let own = self.resume(tests).await;
            if let Some(End::Again | End::Gone | End::Denied(_)) = own {
                return own.unwrap_or(End::Again);
            }
            let all = self.candidates();
            if own.is_some() || !all.is_empty() {
                break (own, all);
            }
            if let Some(end) = self.nobody_waits().await {
                return end;
            }
        };
        for (name, places) in all {
            for at in places {
                self.at = Some(at);
                let Some(added) = self.give_place(at, &payload, tests).await else { return End::Gone };
                let (other, answered) = match added {
                    Ok(certified) => return self.joined(at, certified).await,
                    Err(NotAdded::Denied(why)) => return End::Denied(why),
                    Err(NotAdded::Code) => {
                        // Others may wait with the same few bits of a code.
                        self.not_its.note(name.clone(), at.ip());
                        self.say(Saying::Refused(Refused::Code)).await;
                        break;
                    }
                    Err(NotAdded::NoWay(why, outcome)) => (End::Lost(why, outcome), false),
                    Err(NotAdded::Silent) => (End::Lost("it did not answer".to_owned(), Outcome::Silent), false),
                    Err(NotAdded::NotCertified(why)) => (End::Refused(Refused::NotCertified(why)), true),
                    Err(NotAdded::NoPlace(why)) => (End::Refused(Refused::NoPlace(why)), true),
                    Err(NotAdded::Busy) => (End::Busy, true),
                    Err(NotAdded::Failed(why)) => (End::Lost(why.clone(), Outcome::Failed(why)), true),
                };
                end = Some(match end.take() {
                    Some(end) => end.or(other),
                    None => other,
                });
                // A device that answered is not asked again elsewhere.
                if answered {
                    break;
                }
            }
        }
        // Nobody but those whose code it is not: others are waited for.
        end.unwrap_or(End::Again)
    }

    async fn joined(&mut self, at: SocketAddr, certified: bool) -> End {
        (self.adding, self.known, self.failures, self.refusals) = (None, Some(at), None, 0);
        self.say(Saying::Joined(at, certified)).await;
        End::Again
    }

    /// Who waits whom the code may be for: those first who say that they are what it says.
    pub(super) fn candidates(&mut self) -> Vec<(String, Vec<SocketAddr>)> {
        let Some(Adding { code, .. }) = &self.adding else { return Vec::new() };
        let sky = self.way.sky.borrow_and_update();
        let mut all = sky.waits(|advert| code.discriminator.fits(advert.discriminator).then(|| mismatch(code, advert)));
        all.retain(|(name, places)| !self.not_its.has(name, places));
        all
    }

    /// It may have its place already: that this was so may not have been heard, or not kept, before an end. `None`: nothing
    /// says so.
    async fn resume(&mut self, tests: bool) -> Option<End> {
        let (places, patience, _) = self.announced().filter(|(places, ..)| !places.is_empty())?;
        let mut end = End::Lost("it does not answer".to_owned(), Outcome::Silent);
        for at in places.into_iter().take(MOST_PLACES) {
            self.at = Some(at);
            let completing = self.way.clone().complete(at, patience);
            match self.ending(completing).await {
                None => return Some(End::Gone),
                // By whom its maker was vouched for is not known any more, unless it had to be somebody real.
                Some(Ok(())) => return Some(self.joined(at, !tests).await),
                Some(Err(denied @ End::Denied(_))) => return Some(denied),
                // Anybody can say that it is there, and that it is not.
                Some(Err(End::Refused(_))) => {}
                Some(Err(other)) => end = end.or(other),
            }
        }
        Some(end)
    }

    /// Waits for a change of who is here; what is wanted meanwhile is refused.
    async fn nobody_waits(&mut self) -> Option<End> {
        let (error, outcome) = if self.not_its.is_empty() {
            let why = "no device with this code waits for being added".to_owned();
            (CallError::Unreachable(why), Outcome::Silent)
        } else {
            let why = in_words(&Refused::Code);
            (CallError::Refused(why.clone()), Outcome::Failed(why))
        };
        self.refuse_waiting(&error, &outcome).await;
        let stop = self.orders.stop();
        tokio::select! {
            biased;
            () = stop.cancelled() => Some(End::Gone),
            order = self.orders.next() => match order {
                Some(order) => {
                    self.orders.push(order);
                    None
                }
                None => Some(End::Gone),
            },
            Ok(()) = self.way.sky.changed() => None,
        }
    }

    async fn give_place(
        &mut self,
        at: SocketAddr,
        payload: &SetupPayload,
        tests: bool,
    ) -> Option<Result<bool, NotAdded>> {
        let adding = self.way.clone().add(at, payload.clone(), tests);
        self.ending(adding).await
    }

    /// Does that, and hears orders in the meantime. If one of them is to leave, that is done once this came to its end.
    async fn ending<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let (stop, mut what) = (self.orders.stop(), pin!(what));
        let mut leaving: Option<(CallId, tokio::time::Instant)> = None;
        loop {
            let until = leaving.map(|(_, until)| until);
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut what => {
                    if let Some((call, _)) = leaving {
                        self.orders.push(Order::Leave(call));
                    }
                    return Some(done);
                }
                order = self.orders.next() => match order {
                    None => return None,
                    Some(Order::Leave(call)) => leaving = Some((call, tokio::time::Instant::now() + ENDS_WITHIN)),
                    Some(Order::Try(call)) => {
                        self.under_way(call, "added").await;
                    }
                    Some(order) => self.wait(order).await,
                },
                () = tokio::time::sleep_until(until.unwrap_or_else(tokio::time::Instant::now)), if until.is_some() => {
                    if let Some((call, _)) = leaving {
                        self.say(Saying::Left(Some(call), false)).await;
                    }
                    return None;
                }
            }
        }
    }
}

/// How little what a device announces is what its code says: nothing against it, nothing said, something else.
fn mismatch(code: &crate::core::code::Code, advert: &crate::core::advert::Advert) -> u8 {
    match (code.vendor, advert.product) {
        (Some(vendor), Some((of, _))) if vendor != of => 2,
        (Some(_), Some((_, Some(product)))) if code.product.is_some_and(|wanted| wanted != product) => 2,
        (Some(_), Some(_)) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::advert::Advert;
    use crate::core::code::Code;

    #[test]
    fn a_code_is_not_guessed_again_where_it_was_wrong_nor_often_at_one_address() {
        let mut not_its = NotIts::default();
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let (here, there) = ([at("10.0.0.2:5540")], [at("10.0.0.3:5540")]);
        not_its.note("one".to_owned(), here[0].ip());
        assert!(not_its.has("one", &there) && !not_its.has("two", &here));
        for number in 1..GUESSES {
            not_its.note(format!("again-{number}"), here[0].ip());
        }
        assert!(not_its.has("two", &here) && !not_its.has("two", &there));
        for number in 0..2 * MOST_NOT_ITS {
            not_its.note(format!("flood-{number}"), there[0].ip());
        }
        assert_eq!(not_its.0.len(), MOST_NOT_ITS);
    }

    #[test]
    fn who_says_to_be_what_the_code_says_comes_first() {
        let code = Code::parse("MT:Y.K90AFN00KA0648G00").unwrap();
        let of = |vp: &'static str| Advert::parse([("D", &b"3840"[..]), ("VP", vp.as_bytes())]).unwrap();
        let unsaid = Advert::parse([("D", &b"3840"[..])]).unwrap();
        assert_eq!(mismatch(&code, &of("65521+32768")), 0);
        assert_eq!(mismatch(&code, &of("65521")), 0);
        assert_eq!(mismatch(&code, &unsaid), 1);
        assert_eq!((mismatch(&code, &of("7")), mismatch(&code, &of("65521+7"))), (2, 2));
        assert_eq!(mismatch(&Code::parse("34970112332").unwrap(), &of("7")), 1);
    }
}
