//! What every kind of origin needs around it, once: timeouts, breaker, limits, a fresh connection
//! for a dropped one, rewriting of keys, and counting.
//!
//! Answers become verdicts here; what a *missing* or a 403 is worth is weighed in `judgement`.
//! Nothing here knows of other origins.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use object::{BodyError, Interruption, InvalidKey, ObjectBody, ObjectKey, Validator};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::breaker::{Breaker, Change};
use crate::canaries::Canaries;
use crate::heir::{Leave, paces, queue, slots};
use crate::pace::Pace;
use crate::rounds::Rounds;
use crate::tokens::Tokens;
use crate::turns::SharedTurns;
use crate::watched::WatchedBody;
use crate::{
    Access, Answer, Extent, Failure, Origin, OriginObserver, OriginSettings, OriginState, Part,
    Question, Reason, Reply, Verdict, VerdictLabel,
};

/// A tripped origin that nobody can stand in for is still asked, so many at a time.
const INSISTENT: usize = 4;
/// An origin that drops idle connections is asked over fresh ones for this long.
const FRESH_ONLY: Duration = Duration::from_mins(1);

/// An origin with everything around it that keeps it from hurting the gateway, or being hurt.
pub struct GuardedOrigin {
    pub(crate) settings: OriginSettings,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) observer: Arc<dyn OriginObserver>,
    pub(crate) tasks: TaskTracker,
    /// Shared with whoever takes its place when the configuration changes.
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) slots: Arc<Semaphore>,
    /// Questions that wait for a slot or hold one; more are refused at once.
    pub(crate) queue: Arc<Semaphore>,
    pub(crate) leave: Leave,
    pub(crate) insistent: Arc<Semaphore>,
    /// Shared probes that tell a missing key from a closed bucket.
    pub(crate) brackets: Rounds<bool>,
    /// One asks the canaries, the others wait for what they say.
    pub(crate) canary_turn: Semaphore,
    /// Who else sends requests to it.
    pub(crate) elsewhere: OnceLock<Arc<dyn SharedTurns>>,
}

/// What is remembered of an origin from one question to the next.
pub(crate) struct Health {
    pub(crate) breaker: Breaker,
    tokens: Tokens,
    pub(crate) pace: Option<Pace>,
    /// Half of that, for what nobody waits for.
    pub(crate) background_pace: Option<Pace>,
    pub(crate) canaries: Canaries,
    fresh_only_until: Option<Instant>,
    pub(crate) last_failure: Option<(Failure, Instant)>,
}

/// Whether a question is the first to this origin for a miss, or beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Earns a fifth of a token.
    Primary,
    /// Its token was taken, or it is none of a viewer's business.
    Paid,
}

/// For whom an origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody waits.
    Serve,
    /// Nobody does.
    Background,
}

impl GuardedOrigin {
    /// Guards an origin. Tasks that outlive their asker run on `tasks`.
    pub fn new(
        settings: OriginSettings,
        origin: Arc<dyn Origin>,
        observer: Arc<dyn OriginObserver>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        observer.up(true);
        observer.suspect(false);
        let (pace, background_pace) = paces(&settings);
        let health = Health {
            breaker: Breaker::new(),
            tokens: Tokens::new(),
            pace,
            background_pace,
            canaries: Canaries::new(&settings.canary),
            fresh_only_until: None,
            last_failure: None,
        };
        Arc::new(Self {
            slots: Arc::new(slots(&settings)),
            queue: Arc::new(queue(&settings)),
            leave: Leave::default(),
            insistent: Arc::new(Semaphore::new(INSISTENT)),
            health: Arc::new(Mutex::new(health)),
            brackets: Rounds::new(),
            canary_turn: Semaphore::new(1),
            elsewhere: OnceLock::new(),
            settings,
            origin,
            observer,
            tasks,
        })
    }

    /// From now on this is asked too before each request. It is told only once.
    pub fn shares_turns(&self, turns: Arc<dyn SharedTurns>) {
        let _ = self.elsewhere.set(turns);
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Active or rehearsing.
    pub fn state(&self) -> OriginState {
        self.settings.state
    }

    /// The settings it was built from.
    pub fn settings(&self) -> &OriginSettings {
        &self.settings
    }

    /// The unguarded origin, for the doctor.
    pub fn inner(&self) -> &Arc<dyn Origin> {
        &self.origin
    }

    /// The canaries learned from serving, to be kept across restarts.
    pub fn learned_canaries(&self) -> Vec<ObjectKey> {
        self.health(|health| health.canaries.learned())
    }

    /// Gives back what [`Self::learned_canaries`] told in an earlier life.
    pub fn restore_canaries(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        self.health(|health| health.canaries.restore(keys));
    }

    /// The route's key as this origin spells it: the first rule whose prefix matches, else
    /// unchanged.
    ///
    /// # Errors
    /// When the rewritten text cannot be a key.
    pub fn own_key(&self, key: &ObjectKey) -> Result<ObjectKey, InvalidKey> {
        let rule = self.settings.rewrite.iter().find_map(|rule| {
            let rest = key.as_str().strip_prefix(&*rule.from)?;
            Some(format!("{}{rest}", rule.to))
        });
        rule.map_or_else(|| Ok(key.clone()), |own| ObjectKey::parse(&own))
    }

    /// Asks for an object on a task of its own: an asker that goes away does not keep the breaker
    /// from learning.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        key: &ObjectKey,
        part: Part,
        only: Option<Validator>,
        cost: Cost,
    ) -> Verdict<Reply> {
        self.ask_holding(key, part, only, cost, None).await
    }

    /// The same with leave to insist, which is given back when the origin has answered and not
    /// when the asker goes away.
    pub(crate) async fn ask_holding(
        self: &Arc<Self>,
        key: &ObjectKey,
        part: Part,
        only: Option<Validator>,
        cost: Cost,
        leave: Option<OwnedSemaphorePermit>,
    ) -> Verdict<Reply> {
        let own = match self.own_key(key) {
            Ok(own) => own,
            Err(error) => {
                let what = format!(
                    "{}: the rewritten key cannot be asked for: {error}",
                    self.name()
                );
                return Verdict::Unknown(Failure::new(Reason::Protocol, what));
            }
        };
        if cost == Cost::Primary {
            self.health(|health| health.tokens.earn());
        }
        let question = Question {
            only,
            ..Question::new(own, part)
        };
        let me = Arc::clone(self);
        let asked = self.tasks.spawn(async move {
            let began = Instant::now();
            let answer = me.send(&question).await;
            let verdict = me.judge(&question, answer).await;
            me.observe(&verdict, began.elapsed());
            drop(leave);
            verdict
        });
        asked.await.unwrap_or_else(|_| {
            let what = format!("{}: asking it failed inside the gateway", self.name());
            Verdict::Unknown(Failure::new(Reason::Protocol, what))
        })
    }

    /// Takes a token for a request beyond the first.
    pub(crate) fn take_token(&self) -> bool {
        self.health(|health| health.tokens.take())
    }

    /// Whether the breaker lets it be asked in its turn. If it is due for a trial, one is made
    /// beside the walk, so that no viewer waits for an origin that is probably still down.
    pub(crate) fn is_trusted(self: &Arc<Self>, key: &ObjectKey) -> bool {
        let now = Instant::now();
        let (trusted, trial) =
            self.health(|health| (health.breaker.is_trusted(), health.breaker.take_trial(now)));
        if trial {
            let (me, key) = (Arc::clone(self), key.clone());
            self.tasks.spawn(async move {
                me.ask(&key, Part::Head, None, Cost::Paid).await;
            });
        }
        trusted
    }

    /// Leave to ask a tripped origin because nobody else can answer.
    pub(crate) fn insist(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.insistent).try_acquire_owned().ok()
    }

    /// One question within all limits, with one fresh connection if the first was dropped.
    pub(crate) async fn send(self: &Arc<Self>, question: &Question) -> Answer {
        self.send_for(question, Purpose::Serve).await
    }

    /// The same, for somebody or nobody.
    pub(crate) async fn send_for(
        self: &Arc<Self>,
        question: &Question,
        purpose: Purpose,
    ) -> Answer {
        let Ok(_queued) = self.queue.try_acquire() else {
            return self.over_budget("too many requests wait for it");
        };
        let now = Instant::now();
        let (turn, fresh) = self.health(|health| {
            let turn = match &mut health.pace {
                Some(pace) => pace.reserve(now),
                None => Some(Duration::ZERO),
            };
            (
                turn,
                health.fresh_only_until.is_some_and(|until| now < until),
            )
        });
        let Some(wait) = turn else {
            return self.over_budget("its requests per second are used up");
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.turn_elsewhere().await;
        let slot = timeout(self.settings.first_byte_timeout, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return self.over_budget("too many requests wait for it");
        };
        let mut question = question.clone();
        question.fresh_connection |= fresh;
        let mut answer = self.send_once(&question, purpose).await;
        if let Answer::Dropped(failure) = &answer
            && !question.fresh_connection
            && self.take_token()
        {
            self.observer.answered(VerdictLabel::Unknown, now.elapsed());
            self.observer.unknown(failure);
            question.fresh_connection = true;
            answer = self.send_once(&question, purpose).await;
            if !matches!(answer, Answer::Dropped(_) | Answer::Unknown(_)) {
                let until = Instant::now() + FRESH_ONLY;
                self.health(|health| health.fresh_only_until = Some(until));
            }
        }
        self.learn(&question, answer)
    }

    async fn send_once(self: &Arc<Self>, question: &Question, purpose: Purpose) -> Answer {
        if let Err(failure) = self.still_asked() {
            return Answer::Unknown(failure);
        }
        let patience = self.settings.connect_timeout + self.settings.first_byte_timeout;
        match timeout(patience, self.origin.ask(question)).await {
            Ok(Answer::Found(reply)) => self.begin(reply, purpose).await,
            Ok(answer) => answer,
            Err(_) => {
                let what = format!("{}: no answer within {patience:?}", self.name());
                Answer::Unknown(Failure::new(Reason::Timeout, what))
            }
        }
    }

    /// Waits for the first bytes: an origin that sends a head and then nothing has not answered,
    /// and the next one can still take its place unnoticed.
    async fn begin(self: &Arc<Self>, reply: Reply, purpose: Purpose) -> Answer {
        let Reply {
            head,
            aside,
            extent,
            body,
        } = reply;
        let length = match extent {
            Extent::None | Extent::Unsatisfiable => Some(0),
            Extent::Bytes(range) => Some(range.length()),
            Extent::Unbounded => None,
        };
        let mut body = self.watch(body, length, purpose);
        match timeout(self.settings.first_byte_timeout, body.next()).await {
            Ok(Some(Ok(first))) => {
                let body = ObjectBody::new(stream::iter([Ok(first)]).chain(body));
                Answer::Found(Reply {
                    head,
                    aside,
                    extent,
                    body,
                })
            }
            Ok(None) => Answer::Found(Reply {
                head,
                aside,
                extent,
                body: ObjectBody::empty(),
            }),
            Ok(Some(Err(error))) => {
                let reason = match error.kind {
                    Interruption::Stalled => Reason::Timeout,
                    Interruption::Cut => Reason::Connect,
                    Interruption::Protocol | Interruption::Changed => Reason::Protocol,
                };
                let what = format!("{}: the body broke before its first byte", self.name());
                Answer::Unknown(Failure::new(reason, what))
            }
            Err(_) => {
                let what = format!("{}: a head, and then no byte of the body", self.name());
                Answer::Unknown(Failure::new(Reason::Timeout, what))
            }
        }
    }

    fn watch(
        self: &Arc<Self>,
        body: ObjectBody,
        length: Option<u64>,
        purpose: Purpose,
    ) -> WatchedBody {
        let (counting, failing) = (Arc::clone(self), Arc::clone(self));
        WatchedBody::new(
            body,
            length,
            self.settings.idle_timeout,
            self.leave.cut(),
            Box::new(move |count| match purpose {
                Purpose::Serve => counting.observer.served_bytes(count),
                Purpose::Background => counting.observer.background_bytes(count),
            }),
            Box::new(move |error| failing.body_failed(error)),
        )
    }

    fn body_failed(&self, error: &BodyError) {
        let reason = match error.kind {
            Interruption::Stalled => Reason::Timeout,
            Interruption::Cut => Reason::Connect,
            Interruption::Protocol | Interruption::Changed => Reason::Protocol,
        };
        self.note_failure(&Failure::new(reason, format!("{}: {error}", self.name())));
    }

    /// Tells breaker and canaries what an answer means for them.
    fn learn(&self, question: &Question, answer: Answer) -> Answer {
        match answer {
            Answer::Dropped(failure) | Answer::Unknown(failure) => {
                self.note_failure(&failure);
                Answer::Unknown(failure)
            }
            answer => {
                let now = Instant::now();
                let found =
                    matches!(answer, Answer::Found(_)) && question.access == Access::AsConfigured;
                let change = self.health(|health| {
                    if found {
                        health.canaries.found(&question.key, now);
                    }
                    health.breaker.succeeded(now)
                });
                if change == Change::Recovered {
                    self.observer.up(true);
                    tracing::info!(origin = self.name(), "origin answers again");
                }
                answer
            }
        }
    }

    /// Tells the breaker of an answer that says nothing of any key.
    pub(crate) fn note_answer(&self) {
        let now = Instant::now();
        if self.health(|health| health.breaker.succeeded(now)) == Change::Recovered {
            self.observer.up(true);
            tracing::info!(origin = self.name(), "origin answers again");
        }
    }

    pub(crate) fn note_failure(&self, failure: &Failure) {
        let now = Instant::now();
        let change = self.health(|health| {
            health.last_failure = Some((failure.clone(), now));
            if failure.reason.trips() {
                health.breaker.failed(now)
            } else if failure.reason == Reason::Breaker || failure.reason == Reason::Budget {
                Change::None
            } else {
                // It answered; what it said is not the breaker's business.
                health.breaker.succeeded(now)
            }
        });
        match change {
            Change::Tripped => {
                self.observer.up(false);
                tracing::warn!(origin = self.name(), %failure, "origin is left alone for a while");
            }
            Change::Recovered => self.observer.up(true),
            Change::None => {}
        }
    }

    fn over_budget(&self, what: &str) -> Answer {
        Answer::Unknown(Failure::new(
            Reason::Budget,
            format!("{}: {what}", self.name()),
        ))
    }

    pub(crate) fn observe<T>(&self, verdict: &Verdict<T>, elapsed: Duration) {
        self.observer.answered(verdict.label(), elapsed);
        if let Verdict::Unknown(failure) = verdict {
            self.observer.unknown(failure);
        }
    }

    pub(crate) fn health<R>(&self, look: impl FnOnce(&mut Health) -> R) -> R {
        look(&mut self.health.lock().expect("no panic under this lock"))
    }
}
