//! The mind's part in receiving: an offer from its request to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use accord_consent::Permit;
use accord_consent::outlet::dial_tcp;
use accord_model::{DeviceId, FromBridge, StreamId, Target as Port};
use accord_ports::files::{Giver, pair, wire::StopReason};
use tokio_util::sync::CancellationToken;

use super::asking::{self, OwnerSays};
use super::caller::{Caller, Quiet};
use super::devices::{Known, id_of};
use super::inbound::Order;
use super::lane::Lane;
use super::law;
use super::mind::{Mind, NAME, Nearby};
use super::session::Heard;
use crate::core::receive::{self, AskId, Asked, Decision, Finished};
use crate::core::send::cancel_call;
use crate::core::{ConnectionId, Protocol, Secret, Target, discovery, server};
use accord_ports::Line;

/// The transfer that a device offers or sends.
pub(crate) struct Incoming {
    pub ask: AskId,
    pub device: DeviceId,
    connection: ConnectionId,
    files: usize,
    pub permit: Option<Permit>,
    pub decision: Option<Decision>,
    pub lane: Option<Arc<Lane>>,
    pub over: CancellationToken,
}

impl Mind {
    pub(crate) async fn receiving(&mut self, event: receive::Event) {
        let Some(near) = &mut self.near else { return };
        match event {
            receive::Event::Asked(asked) => self.asked(*asked).await,
            receive::Event::Withdrawn(ask, why) => {
                tracing::debug!(%why, "an offer has fallen away");
                if let Some(incoming) = near.incoming.take_if(|incoming| incoming.ask == ask) {
                    incoming.over.cancel();
                    if let Some(lane) = incoming.lane {
                        near.session.spawn(async move { lane.stop(StopReason::Cancelled).await });
                    }
                }
            }
            receive::Event::Started { .. } => {}
            receive::Event::File { outcome, .. } => {
                if let (Err(fault), Some(Incoming { lane: Some(lane), .. })) = (outcome, &near.incoming) {
                    tracing::info!(%fault, "a file by LocalSend did not arrive");
                    lane.gave_up();
                }
            }
            receive::Event::Finished { how, .. } => {
                near.telling = None;
                let Some(Incoming { lane, over, .. }) = near.incoming.take() else { return };
                over.cancel();
                if let Some(lane) = lane {
                    near.session.spawn(async move {
                        match how {
                            Finished::Done { .. } => drop(lane.finish().await),
                            Finished::CancelledByPeer | Finished::Stopped => lane.stop(StopReason::Cancelled).await,
                            Finished::Silent => lane.stop(StopReason::Failed).await,
                        }
                    });
                }
            }
        }
    }

    async fn asked(&mut self, asked: Asked) {
        let now = Instant::now();
        let Asked { ask, connection, peer, verified, request } = asked;
        let device = id_of(&request.sender.info.fingerprint, verified);
        if let Some(near) = &mut self.near {
            near.discovery.handle(discovery::Input::Registered(&request.sender, &peer), now);
        }
        self.pump_discovery().await;
        let guest = self.devices.guest(Known::guest(&request.sender, &peer, verified));
        self.outbox.tell(guest).await;
        let Some(near) = &mut self.near else { return };
        let permit = match self.law.transfer(&device, law::STATE, "on.receive") {
            Ok(permit) => Some(permit),
            Err(refusal) if law::may_be_asked(&refusal) => {
                let (law, device, heard) = (self.law.clone(), device.clone(), near.session.heard.clone());
                near.session.spawn(async move {
                    let permit = law.transfer_once_decided(&device, law::STATE, "on.receive").await;
                    let _ = heard.send(Heard::Permitted { ask, permit }).await;
                });
                None
            }
            Err(refusal) => {
                tracing::info!(%refusal, "an offer by LocalSend is declined");
                return near.server.handle(server::Input::Decide(ask, Decision::Decline), now);
            }
        };
        let over = CancellationToken::new();
        let (ours, theirs) = pair(NAME);
        let text = request.message().map(str::to_owned);
        let (offer, files) = (asking::offer(&request), request.files.len());
        let (heard, taken_back) = (near.session.heard.clone(), over.clone());
        near.session.spawn(async move {
            let says = asking::ask(Giver::new(theirs), offer, text, taken_back).await;
            let _ = heard.send(Heard::Answered { ask, says }).await;
        });
        let decision = None;
        near.incoming =
            Some(Incoming { ask, device: device.clone(), connection, files, permit, decision, lane: None, over });
        let stream = StreamId(self.next);
        self.next += 1;
        let opened = FromBridge::StreamOpened { stream, device, target: Port::new("files"), inputs: BTreeMap::new() };
        self.outbox.carry(opened, ours).await;
    }

    pub(crate) fn tell_cancelled(&mut self, at: Target, session: Secret) {
        let Some(near) = &mut self.near else { return };
        let Some(device) = near.incoming.as_ref().map(|incoming| incoming.device.clone()) else { return };
        // Who did not prove to be the device is told nothing.
        let Ok(permit) = self.law.transfer(&device, law::STATE, "on.receive") else { return };
        let (identity, done) = (self.identity.clone(), CancellationToken::new());
        near.telling = Some(done.clone());
        near.session.spawn(async move {
            let _done = done.drop_guard();
            let told = async {
                let tls = match at.protocol {
                    Protocol::Http => None,
                    Protocol::Https => Some(identity.client_config(at.pin()).map_err(|error| error.to_string())?),
                };
                let dialed = dial_tcp(permit, at.address).await;
                let line = Line::device(dialed.map_err(|error| error.to_string())?, law::STATE);
                let mut caller = Caller::new(line, tls)?;
                let answer = caller.ask(cancel_call(&at, &session), &mut Quiet).await;
                caller.close(Ok(())).await;
                answer.map(drop).map_err(|none| format!("{none:?}"))
            };
            let told: Result<(), String> = told.await;
            if let Err(why) = told {
                tracing::debug!(%why, "a sender was not told that its transfer was stopped");
            }
        });
    }
}

impl Nearby {
    pub(crate) fn answered(&mut self, ask: AskId, says: OwnerSays, now: Instant) {
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| incoming.ask == ask) else {
            // The sender took it back in the same moment.
            if let OwnerSays::Yes(giver) = says {
                self.session.spawn(async move { giver.stop(StopReason::Cancelled).await });
            }
            return;
        };
        incoming.decision = Some(match says {
            OwnerSays::No => Decision::Decline,
            OwnerSays::Read => Decision::Shown,
            OwnerSays::Yes(giver) => {
                let lane = Lane::new(*giver, incoming.files);
                let (broken, over, heard) = (lane.broken(), incoming.over.clone(), self.session.heard.clone());
                incoming.lane = Some(lane);
                self.session.spawn(async move {
                    tokio::select! {
                        () = over.cancelled() => {}
                        () = broken.cancelled() => drop(heard.send(Heard::Broken(ask)).await),
                    }
                });
                Decision::Accept
            }
        });
        self.go_on(now);
    }

    /// Answers the sender, once the owner said what, and that it may be answered. A no says nothing of anyone.
    pub(crate) fn go_on(&mut self, now: Instant) {
        let Some(incoming) = &mut self.incoming else { return };
        let Some(decision) = incoming.decision.take() else { return };
        if decision == Decision::Decline {
            let ask = incoming.ask;
            incoming.over.cancel();
            if let Some(Incoming { lane: Some(lane), .. }) = self.incoming.take() {
                self.session.spawn(async move { lane.stop(StopReason::Failed).await });
            }
            return self.server.handle(server::Input::Decide(ask, Decision::Decline), now);
        }
        let Some(permit) = incoming.permit.take() else {
            incoming.decision = Some(decision);
            return;
        };
        let (ask, connection) = (incoming.ask, incoming.connection);
        if decision == Decision::Shown {
            incoming.over.cancel();
            self.incoming = None;
        }
        self.session.order(connection, Order::Bind(permit));
        self.server.handle(server::Input::Decide(ask, decision), now);
    }
}
