//! Who is in the scene, and who may come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::sleep;
use waldo_protocol::field::{CharacterMode, Extension, Hello};
use waldo_protocol::time::MonoTime;

use super::{AWAY, Client, Refused, Service};
use crate::clock;
use crate::field::backend::{PUBLISHERS, publisher_id};
use crate::field::seat::{Link, Seat};
use crate::http::random_token;
use crate::websocket::Close;

/// How long a user whose link broke may come back to their arms.
const RETURN: Duration = Duration::from_secs(30);

/// Silence of the hands that lets go of the arms of clients without extensions.
const PATIENT: Duration = Duration::from_secs(5);

/// How long the end of a user is waited for whose name somebody else takes.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Who has arms in the scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// The user's id.
    pub user: String,
    /// The character.
    pub mode: CharacterMode,
    /// The ids of the arms.
    pub arms: Vec<String>,
    /// Whether a socket speaks for the user.
    pub connected: bool,
    /// Whether nothing was heard of the user for five seconds.
    pub away: bool,
}

/// The names that are taken.
#[derive(Debug, Default)]
pub(in crate::field) struct Books {
    /// Of users and spectators that were given a name, and of publishers.
    numbered: (u64, u64),
    users: BTreeMap<String, Place>,
    /// Sockets of each owner; none while what the last one published is removed.
    publishers: BTreeMap<String, usize>,
}

/// What a name of a user stands for.
#[derive(Debug)]
enum Place {
    /// The simulation makes or removes the arms.
    Changing,
    /// Somebody who is here, or whose link broke a while ago.
    Taken { seat: Arc<Seat>, token: Option<String>, lost: Option<MonoTime> },
}

impl Books {
    fn is_free(&self, name: &str) -> bool {
        !self.users.contains_key(name) && !self.publishers.contains_key(name)
    }

    /// `user_<n>` or `spectator_<n>`, which share their numbers.
    fn number(&mut self, kind: &str) -> String {
        loop {
            self.numbered.0 += 1;
            let name = format!("{kind}_{}", self.numbered.0);
            if self.is_free(&name) {
                return name;
            }
        }
    }

    fn number_publisher(&mut self) -> String {
        loop {
            self.numbered.1 += 1;
            let name = format!("publisher_{}", self.numbered.1);
            if self.is_free(&name) {
                return name;
            }
        }
    }

    /// A socket of that owner is gone; whether it was the last one, and nobody takes the name until it is removed.
    fn publisher_left(&mut self, owner: &str) -> bool {
        match self.publishers.get_mut(owner) {
            Some(sockets) if *sockets > 0 => {
                *sockets -= 1;
                *sockets == 0
            }
            _ => false,
        }
    }

    /// Users whose time to come back is over; from now on nobody can.
    pub(super) fn lost_for_good(&mut self, now: MonoTime) -> Vec<String> {
        let mut gone = Vec::new();
        for (user, place) in &mut self.users {
            if matches!(place, Place::Taken { lost: Some(lost), .. } if now.since(*lost) >= RETURN) {
                *place = Place::Changing;
                gone.push(user.clone());
            }
        }
        gone
    }
}

/// Nothing is heard of the user.
fn is_away(link: &Link, now: MonoTime) -> bool {
    link.outbox.is_none() || now.since(link.heard) >= AWAY
}

/// What a user needs to come back, if they want to be able to.
fn new_token(hello: &Hello) -> Option<String> {
    hello.ext.has(Extension::Resume).then(|| random_token().ok()).flatten()
}

impl Service {
    /// A name for a spectator.
    pub(in crate::field) fn name_spectator(&self) -> String {
        self.books().number("spectator")
    }

    /// A client becomes a user, with a token to come back if it wants one.
    pub(in crate::field) async fn join(
        &self,
        client: &Client,
        mode: CharacterMode,
        wanted: Option<String>,
        hello: &Hello,
    ) -> Result<(Arc<Seat>, Option<String>), Refused> {
        let limit = self.deadman(hello);
        let link = Link::new(&client.outbox, hello.ext, clock::now());
        let user = match wanted {
            Some(user) => {
                if let Some(returned) = self.come_back(&user, hello, &link, limit) {
                    return Ok(returned);
                }
                self.reserve(&user).await?;
                user
            }
            None => {
                let mut books = self.books();
                self.has_room(&books)?;
                let user = books.number("user");
                books.users.insert(user.clone(), Place::Changing);
                user
            }
        };
        let seated = self.calls.call({
            let user = user.clone();
            move |world| world.join(user, mode, link, limit)
        });
        let seat = match seated.await {
            Ok(Ok(seat)) => seat,
            refused => {
                self.books().users.remove(&user);
                return Err(match refused {
                    Ok(Err(error)) => error.into(),
                    Err(gone) => gone.into(),
                    Ok(Ok(_)) => Refused::new("fault", "no arms"),
                });
            }
        };
        let token = new_token(hello);
        let place = Place::Taken { seat: Arc::clone(&seat), token: token.clone(), lost: None };
        self.books().users.insert(user, place);
        Ok((seat, token))
    }

    /// How long the hands of a client may be silent.
    fn deadman(&self, hello: &Hello) -> Duration {
        let usual = self.config.deadman;
        match hello.deadman_s {
            // Nobody is less strict than a strict server.
            Some(asked) if self.config.strict_deadman => usual.min(Duration::from_secs_f64(asked)),
            Some(asked) => Duration::from_secs_f64(asked),
            None if self.config.strict_deadman || hello.ext.has(Extension::Deadman) => usual,
            None => PATIENT,
        }
    }

    fn has_room(&self, books: &Books) -> Result<(), Refused> {
        if books.users.len() < self.config.max_users {
            return Ok(());
        }
        Err(Refused::new("full", format!("this field has {} users already", self.config.max_users)))
    }

    /// Takes a name, if nobody has it. Who is just leaving is waited for.
    async fn reserve(&self, user: &str) -> Result<(), Refused> {
        if user.starts_with(PUBLISHERS) {
            return Err(Refused::new("invalid", format!("a user_id does not begin with {PUBLISHERS}")));
        }
        let begin = clock::now();
        loop {
            {
                let mut books = self.books();
                let leaving = matches!(books.users.get(user), Some(Place::Changing));
                if books.is_free(user) {
                    self.has_room(&books)?;
                    books.users.insert(user.to_owned(), Place::Changing);
                    return Ok(());
                }
                if !leaving || clock::now().since(begin) >= HAND_OVER {
                    return Err(Refused::new("in_use", "user_id already in use"));
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Somebody who can prove that they are this user takes their place, from an older socket if need be.
    fn come_back(
        &self,
        user: &str,
        hello: &Hello,
        link: &Link,
        limit: Duration,
    ) -> Option<(Arc<Seat>, Option<String>)> {
        let mut books = self.books();
        let Place::Taken { seat, token, lost } = books.users.get_mut(user)? else { return None };
        let proof = hello.resume_token.as_ref()?;
        if !bool::from(token.as_ref()?.as_bytes().ct_eq(proof.as_bytes())) {
            return None;
        }
        *lost = None;
        // Each proves only once.
        *token = new_token(hello);
        let before = std::mem::replace(&mut *seat.link(), link.clone());
        seat.input().begin(limit);
        let returned = (Arc::clone(seat), token.clone());
        drop(books);
        if let Some(outbox) = before.outbox {
            outbox.close(Close::new(4001, "this user goes on over another socket"));
        }
        Some(returned)
    }

    /// The client speaks for that user no longer. Unless it said farewell, whoever has the token may come back.
    pub(in crate::field) async fn leave(&self, client: &Client, seat: &Seat, farewell: bool) {
        {
            let mut books = self.books();
            let mut link = seat.link();
            if !link.outbox.as_ref().is_some_and(|outbox| Arc::ptr_eq(outbox, &client.outbox)) {
                return;
            }
            link.outbox = None;
            seat.input().end();
            let Some(place) = books.users.get_mut(&seat.user) else { return };
            if let Place::Taken { token: Some(_), lost, .. } = place
                && !farewell
            {
                *lost = Some(clock::now());
                return;
            }
            *place = Place::Changing;
        }
        self.unseat(&seat.user).await;
    }

    /// Removes a user whose place is [`Place::Changing`].
    pub(super) async fn unseat(&self, user: &str) {
        let leaving = user.to_owned();
        // If nobody answers, nothing moves either.
        let _ = self.calls.call(move |world| world.leave(&leaving)).await;
        self.books().users.remove(user);
    }

    /// New arms under the same names; what the hands said before is forgotten.
    pub(in crate::field) async fn reset(&self, seat: &Arc<Seat>) -> Result<Vec<String>, Refused> {
        let resetting = Arc::clone(seat);
        let arms = self.calls.call(move |world| world.reset(&resetting)).await??;
        // The same ids may stand for other meshes now.
        self.resend(&seat.user);
        Ok(arms)
    }

    /// A client becomes a publisher; returns the owner of what it publishes.
    pub(in crate::field) async fn join_publisher(&self, wanted: Option<String>) -> Result<String, Refused> {
        let begin = clock::now();
        loop {
            {
                let mut books = self.books();
                if books.publishers.values().sum::<usize>() >= self.config.max_publishers {
                    let text = format!("this field has {} publishers already", self.config.max_publishers);
                    return Err(Refused::new("full", text));
                }
                let owner = wanted.clone().unwrap_or_else(|| books.number_publisher());
                let leaving = books.publishers.get(&owner) == Some(&0);
                if books.users.contains_key(&owner) || leaving && clock::now().since(begin) >= HAND_OVER {
                    return Err(Refused::new("in_use", "owner_id already in use"));
                }
                if !leaving {
                    *books.publishers.entry(owner.clone()).or_default() += 1;
                    return Ok(owner);
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// A publisher is gone; with the last one of that name goes what they published.
    pub(in crate::field) async fn leave_publisher(&self, owner: &str) {
        if !self.books().publisher_left(owner) {
            return;
        }
        let leaving = publisher_id(owner);
        let _ = self.calls.call(move |world| world.backend.remove_owner(&leaving)).await;
        self.books().publishers.remove(owner);
    }

    /// The users who are away, by name.
    pub(in crate::field) fn away(&self, now: MonoTime) -> Vec<String> {
        let away = |place: &Place| match place {
            Place::Taken { seat, .. } => is_away(&seat.link(), now).then(|| seat.user.clone()),
            Place::Changing => None,
        };
        self.books().users.values().filter_map(away).collect()
    }

    pub(in crate::field) fn users(&self) -> Vec<UserView> {
        let now = clock::now();
        let view = |place: &Place| {
            let Place::Taken { seat, .. } = place else { return None };
            let link = seat.link();
            Some(UserView {
                user: seat.user.clone(),
                mode: seat.mode,
                arms: seat.arms.clone(),
                connected: link.outbox.is_some(),
                away: is_away(&link, now),
            })
        };
        self.books().users.values().filter_map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_spectators_share_their_numbers_and_take_no_name_that_is_taken() {
        let mut books = Books::default();
        books.users.insert("user_2".to_owned(), Place::Changing);
        books.publishers.insert("spectator_4".to_owned(), 1);
        assert_eq!(books.number("user"), "user_1");
        assert_eq!(books.number("user"), "user_3");
        assert_eq!(books.number("spectator"), "spectator_5");
        assert_eq!(books.number_publisher(), "publisher_1");
    }

    #[test]
    fn of_publishers_that_leave_together_exactly_one_is_the_last() {
        let mut books = Books::default();
        books.publishers.insert("rig".to_owned(), 2);
        // Both leave before what they published is removed.
        assert_eq!([books.publisher_left("rig"), books.publisher_left("rig")], [false, true]);
        assert!(!books.is_free("rig"), "the name is free when nothing of it is left");
        assert!(!books.publisher_left("rig"), "nobody is left to leave");
    }
}
