//! What a *missing* and an anonymous 403 are worth.
//!
//! An origin's answer is one thing; whether it may lead to a 404 is another. Both checks here can
//! only take trust away: neither ever turns an unknown into anything better.

use std::sync::Arc;

use object::ObjectKey;
use tokio::time::Instant;

use crate::canaries::Vouch;
use crate::guarded::GuardedOrigin;
use crate::{
    Access, Answer, Failure, ForbiddenMeans, Part, Question, Reason, Reply, Verdict, VerdictLabel,
};

impl GuardedOrigin {
    /// The verdict that an answer to a question amounts to.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        question: &Question,
        answer: Answer,
    ) -> Verdict<Reply> {
        match answer {
            Answer::Found(reply) => Verdict::Found(reply),
            Answer::Missing => Verdict::Missing,
            Answer::Changed => Verdict::Unknown(Failure::new(
                Reason::Protocol,
                format!("{}: it has another version now", self.name()),
            )),
            Answer::Dropped(failure) | Answer::Unknown(failure) => Verdict::Unknown(failure),
            Answer::Forbidden => self.judge_forbidden(question).await,
        }
    }

    /// An anonymous 403: a public bucket that grants only `GetObject` answers so for a missing
    /// key, and so does one whose policy, key or account has a problem.
    async fn judge_forbidden(self: &Arc<Self>, question: &Question) -> Verdict<Reply> {
        let arrived = self.brackets.now();
        if self.origin.can_settle() {
            return self.settle(question).await;
        }
        if self.settings.forbidden_means == ForbiddenMeans::Missing {
            return Verdict::Missing;
        }
        let works = self
            .brackets
            .begun_after(arrived, self.tells_missing_by_403())
            .await;
        if !works {
            return self.denied("403, and no canary could show that it means a missing key");
        }
        self.ask_again(question, Verdict::Missing).await
    }

    /// The question once more, after what a 403 means was found out: `forbidden` if it still gets
    /// one. The object may have been uploaded meanwhile.
    async fn ask_again(
        self: &Arc<Self>,
        question: &Question,
        forbidden: Verdict<Reply>,
    ) -> Verdict<Reply> {
        match self.send(question).await {
            Answer::Forbidden => forbidden,
            Answer::Found(reply) => Verdict::Found(reply),
            Answer::Missing => Verdict::Missing,
            Answer::Dropped(failure) | Answer::Unknown(failure) => Verdict::Unknown(failure),
            Answer::Changed => self.denied("403, then another version"),
        }
    }

    /// Asks with the credentials what the public may not see.
    async fn settle(self: &Arc<Self>, question: &Question) -> Verdict<Reply> {
        let signed = Question {
            access: Access::Signed,
            ..Question::new(question.key.clone(), Part::Head)
        };
        match self.send(&signed).await {
            Answer::Found(_) | Answer::Changed => self.ask_again(question, Verdict::Withheld).await,
            Answer::Missing => Verdict::Missing,
            Answer::Forbidden => self.denied("403 to a signed request too"),
            Answer::Dropped(failure) | Answer::Unknown(failure) => Verdict::Unknown(failure),
        }
    }

    /// Whether, right now, a key that is there is served and one that cannot be there gets a 403.
    async fn tells_missing_by_403(self: &Arc<Self>) -> bool {
        let canaries: Vec<_> = self.health(|health| health.canaries.keys().cloned().collect());
        for canary in canaries.iter().take(3) {
            if !matches!(self.look(canary).await, Answer::Found(_)) {
                continue;
            }
            let Some(absent) = absent_beside(canary) else {
                return false;
            };
            let answer = self.look(&absent).await;
            return matches!(answer, Answer::Forbidden);
        }
        false
    }

    /// Whether a *missing* of this origin may decide an answer.
    ///
    /// # Errors
    /// Its canaries are missing: this is not the storage it was.
    pub(crate) async fn vouch(self: &Arc<Self>) -> Result<(), Failure> {
        let decision = |me: &Self| me.health(|health| health.canaries.vouch(Instant::now()));
        if let Vouch::Ask(_) = decision(self) {
            let _turn = self
                .canary_turn
                .acquire()
                .await
                .expect("the semaphore is never closed");
            // Whoever had the turn before may have asked.
            if let Vouch::Ask(keys) = decision(self) {
                self.ask_canaries(keys).await?;
            }
        }
        if self.health(|health| health.canaries.is_suspect()) {
            let what = format!(
                "{}: objects it is known to hold are missing; is it still the same storage?",
                self.name()
            );
            return Err(Failure::new(Reason::Bucket, what));
        }
        Ok(())
    }

    /// Asks until one is found: a single deleted canary must not turn each 404 into a 503.
    ///
    /// # Errors
    /// Our own limit let none be asked, which says nothing of the origin.
    async fn ask_canaries(self: &Arc<Self>, mut keys: Vec<ObjectKey>) -> Result<(), Failure> {
        if let [only] = &keys[..] {
            keys.push(only.clone());
        }
        let mut found = false;
        let mut unknown = 0;
        for key in &keys {
            match self.look(key).await {
                Answer::Found(_) => found = true,
                Answer::Unknown(failure) if failure.reason == Reason::Budget => {
                    return Err(failure);
                }
                Answer::Missing => {}
                _ => unknown += 1,
            }
            if found || unknown == 2 {
                break;
            }
        }
        if self.health(|health| health.canaries.asked(found, Instant::now())) {
            self.observer.suspect(!found);
            if found {
                tracing::info!(origin = self.name(), "canaries are found again");
            } else {
                tracing::error!(
                    origin = self.name(),
                    "canaries are missing: its answers of missing count as unknown until one is found"
                );
            }
        }
        Ok(())
    }

    /// Looks at a key in the origin's own spelling.
    async fn look(self: &Arc<Self>, own: &ObjectKey) -> Answer {
        let question = Question::new(own.clone(), Part::Head);
        let began = Instant::now();
        let answer = self.send(&question).await;
        self.observer.answered(raw_label(&answer), began.elapsed());
        answer
    }

    fn denied(&self, what: &str) -> Verdict<Reply> {
        let what = format!("{}: {what}", self.name());
        Verdict::Unknown(Failure::new(Reason::Denied, what))
    }
}

fn raw_label(answer: &Answer) -> VerdictLabel {
    match answer {
        Answer::Found(_) => VerdictLabel::Found,
        Answer::Missing => VerdictLabel::Missing,
        Answer::Forbidden | Answer::Changed | Answer::Dropped(_) | Answer::Unknown(_) => {
            VerdictLabel::Unknown
        }
    }
}

/// A key that nobody can have uploaded, where the same rules apply as to `canary`.
fn absent_beside(canary: &ObjectKey) -> Option<ObjectKey> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let folder = canary
        .as_str()
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    ObjectKey::parse(&format!("{folder}absent-{}", hex::encode(random))).ok()
}
