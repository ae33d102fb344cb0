//! What becomes of a way that broke. Most networks that fail come back, and the connection with them: then only the bridge
//! to the robot is made anew, which takes one call. Else everything is.

use std::rc::Rc;

use super::Hosted;
use super::api::Trouble;
use super::ride::Ride;
use super::summary::Way;
use crate::browser::{now, sleep};

/// If the broker answers but the SFU is not heard for this long, that connection is of no use.
const BACK_WITHIN_MS: f64 = 1000.0;
/// A robot that does not come back in this time is likely to come back as another session.
const MEND_LIMIT_MS: f64 = 20_000.0;
/// Between two questions whether something is there again.
const ASK_EVERY_MS: i32 = 200;

impl Hosted {
    /// The way broke: nothing is sent any more until it stands again.
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
            let leg = ride.leg.take();
            match leg.filter(|_| mended) {
                Some(leg) => hosted.arrived(&ride, leg),
                None => {
                    let mut backoff = ride.backoff.borrow_mut();
                    backoff.failed(now());
                    ride.way.replace(Way::Broken(backoff.attempts()));
                }
            }
        });
    }

    /// Whether the same connection leads to the robot again.
    async fn mended(&self, ride: &Ride, attempt: u32) -> bool {
        let (broke_at, mut answered) = (now(), None);
        while ride.attempt.get() == attempt {
            let (leg, ticket) = (ride.leg.borrow().clone(), ride.ticket.borrow().clone());
            let (Some(leg), Some(ticket)) = (leg.filter(|leg| !leg.is_over()), ticket) else { return false };
            if answered.is_none() {
                answered = self.api.is_there().await.then(now);
            }
            if answered.is_some() && !leg.is_interrupted() {
                let session = ride.session.borrow().session_id.clone();
                // Channels of before, which this closes, may have closed one after the other.
                ride.lost.set(false);
                match leg.bridge(&self.api, &session, ride.role, &ticket).await {
                    Ok(()) => return true,
                    Err(Trouble::Unreachable) => answered = None,
                    // The robot's own connection is interrupted.
                    Err(Trouble::Refused(502, _)) if now() - broke_at < MEND_LIMIT_MS => {}
                    Err(_) => return false,
                }
            }
            if answered.is_some_and(|since| leg.is_interrupted() && now() - since > BACK_WITHIN_MS) {
                return false;
            }
            sleep(ASK_EVERY_MS).await;
        }
        false
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
