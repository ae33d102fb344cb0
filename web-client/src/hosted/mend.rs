//! What becomes of a way that broke. Most networks that fail come back, and the connection with them: then only the bridge
//! to the robot is made anew, which takes one call. Else everything is.

use std::rc::Rc;

use super::Hosted;
use super::api::Trouble;
use super::leg::Leg;
use super::mending::{Mending, NoBridge, Step};
use super::ride::Ride;
use super::summary::Way;
use crate::browser::{now, sleep};

/// Between two questions whether something is there again.
const ASK_EVERY_MS: i32 = 200;

impl Hosted {
    /// The way broke: nothing but a stop is sent any more until it stands again.
    pub(super) fn broke(&self, ride: &Rc<Ride>) {
        self.release_keys();
        ride.acks.take();
        ride.way.replace(Way::Broken(0));
        let (ride, attempt) = (ride.clone(), ride.attempt.get());
        self.run(async move |hosted| {
            let mended = hosted.mended(&ride, attempt).await;
            if ride.attempt.get() != attempt {
                return;
            }
            match mended {
                Some(leg) => hosted.arrived(&ride, leg),
                None => {
                    ride.hang_up();
                    let mut backoff = ride.backoff.borrow_mut();
                    backoff.failed(now());
                    ride.way.replace(Way::Broken(backoff.attempts()));
                }
            }
        });
    }

    /// The same connection, once it leads to the robot again.
    async fn mended(&self, ride: &Ride, attempt: u32) -> Option<Rc<Leg>> {
        let mut mending = Mending::begin(now());
        while ride.attempt.get() == attempt {
            let (leg, ticket) = (ride.leg.borrow().clone()?, ride.ticket.borrow().clone()?);
            // Without leases a broker cannot tell this page from another one of the same person.
            if ride.is_driver() && ticket.lease.is_none() {
                return None;
            }
            match mending.next(leg.connection(), now()) {
                Step::Ask => mending.asked(self.api.is_there().await, now()),
                Step::MakeAnew => return None,
                Step::Bridge => {
                    let session = ride.session.borrow().session_id.clone();
                    // Channels of before, which this closes, may have closed one after the other.
                    ride.lost.set(false);
                    let failed = match leg.bridge(&self.api, &session, ride.role, &ticket).await {
                        Ok(()) => return Some(leg),
                        Err(Trouble::Unreachable) => NoBridge::Unreachable,
                        // The robot's own connection is interrupted.
                        Err(Trouble::Refused(502, _)) => NoBridge::NotReady,
                        Err(_) => NoBridge::Refused,
                    };
                    mending.failed(failed, now());
                }
            }
            sleep(ASK_EVERY_MS).await;
        }
        None
    }

    /// Waits for the broker to answer. False if nobody wants the robot any more.
    pub(super) async fn awaits_broker(&self, ride: &Ride, attempt: u32) -> bool {
        while ride.attempt.get() == attempt {
            if self.api.is_there().await {
                return ride.attempt.get() == attempt;
            }
            sleep(ASK_EVERY_MS).await;
        }
        false
    }
}
