//! Models that are opened when they are first used, and closed again when another needs their room.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use siamese_index::EncoderIdentity;
use tokio::sync::watch;

use super::recipe::{ModelSource, OpenModel, weights_bytes};

/// A model that could not be opened is not tried again before this has passed.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// For so long a model waits for others to be used no more.
pub(super) const MAX_WAIT_FOR_ROOM: Duration = Duration::from_secs(10);
const LOOKS_FOR_ROOM: Duration = Duration::from_millis(10);

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ModelKind {
    Encoder,
    Reranker,
}

impl ModelKind {
    fn label(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Reranker => "reranker",
        }
    }
}

/// Kind and name of a model.
pub(super) type Key = (ModelKind, String);

/// Why a model cannot be used now: a sentence that names it.
pub(super) type Failure = Arc<str>;

type Outcome = Result<OpenModel, Failure>;

/// Models by name.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Mutex<BTreeMap<Key, Slot>>,
    room: Room,
}

/// What models may take, and how long is waited for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) max_bytes: u64,
    /// Of models that never leave.
    pub(super) pinned_bytes: u64,
    pub(super) max_wait: Duration,
    /// A model that could not be opened is not tried again before this has passed.
    pub(super) retry_after: Duration,
}

#[derive(Debug)]
struct Slot {
    source: ModelSource,
    state: SlotState,
    /// What it was when it was last opened.
    identity: Option<EncoderIdentity>,
}

#[derive(Debug)]
enum SlotState {
    Closed,
    /// Whoever waits for it gets what comes of it.
    Opening {
        outcome: watch::Receiver<Option<Outcome>>,
        /// What has been set aside for it.
        bytes: u64,
    },
    Open {
        model: OpenModel,
        bytes: u64,
        used_at: Instant,
    },
    Failed {
        failure: Failure,
        at: Instant,
    },
}

/// What is known of a model.
#[derive(Debug)]
pub(crate) struct ModelAccount {
    pub(crate) name: String,
    pub(crate) kind: ModelKind,
    /// What the settings call it.
    pub(crate) model: String,
    pub(crate) open: Option<OpenModel>,
    /// Why it could not be opened, the last time.
    pub(crate) failure: Option<Failure>,
    /// Of its weights, while it is open.
    pub(crate) bytes: Option<u64>,
    /// Of an encoder that has been open.
    pub(crate) identity: Option<EncoderIdentity>,
}

impl SlotState {
    fn bytes(&self) -> u64 {
        match self {
            Self::Opening { bytes, .. } | Self::Open { bytes, .. } => *bytes,
            Self::Closed | Self::Failed { .. } => 0,
        }
    }
}

impl Slots {
    pub(super) fn new(sources: impl Iterator<Item = (Key, ModelSource)>, room: Room) -> Self {
        let slot = |source| Slot {
            source,
            state: SlotState::Closed,
            identity: None,
        };
        let slots = sources.map(|(key, source)| (key, slot(source)));
        Self {
            slots: Mutex::new(slots.collect()),
            room,
        }
    }

    /// Adds a model, unless there is one of this kind and name.
    pub(super) fn add(&self, key: Key, source: ModelSource) {
        self.lock().entry(key).or_insert(Slot {
            source,
            state: SlotState::Closed,
            identity: None,
        });
    }

    /// The folder of a model; `None` when there is none of this name.
    pub(super) fn folder(&self, key: &Key) -> Option<Result<PathBuf, String>> {
        let source = self.lock().get(key).map(|slot| slot.source.clone());
        source.map(|source| source.folder())
    }

    /// A model that is open or is being opened now; `None` when there is none of this name.
    pub(super) async fn get(self: &Arc<Self>, key: &Key) -> Option<Outcome> {
        let mut opening = match self.begin(key)? {
            Ok(opening) => opening,
            Err(known) => return Some(known),
        };
        let Ok(outcome) = opening.wait_for(Option::is_some).await else {
            return Some(Err(sentence(key, "the thread that opens it has ended")));
        };
        outcome.clone()
    }

    /// What is known already, or what to wait for. The first caller starts a thread that opens the model, and
    /// goes on when nobody waits for it any more.
    fn begin(
        self: &Arc<Self>,
        key: &Key,
    ) -> Option<Result<watch::Receiver<Option<Outcome>>, Outcome>> {
        let mut slots = self.lock();
        let slot = slots.get_mut(key)?;
        match &mut slot.state {
            SlotState::Open { model, used_at, .. } => {
                *used_at = Instant::now();
                return Some(Err(Ok(model.clone())));
            }
            SlotState::Opening { outcome, .. } => return Some(Ok(outcome.clone())),
            SlotState::Failed { failure, at } if at.elapsed() < self.room.retry_after => {
                return Some(Err(Err(Arc::clone(failure))));
            }
            SlotState::Closed | SlotState::Failed { .. } => {}
        }
        let (told, outcome) = watch::channel(None);
        let (opener, of, source) = (Arc::clone(self), key.clone(), slot.source.clone());
        let thread = std::thread::Builder::new().name("model-opener".to_owned());
        let started = thread.spawn(move || opener.open(&of, &source, &told));
        if let Err(error) = started {
            return Some(Err(Err(sentence(key, &error.to_string()))));
        }
        slot.state = SlotState::Opening {
            outcome: outcome.clone(),
            bytes: 0,
        };
        Some(Ok(outcome))
    }

    /// Opens a model on its own thread, and tells all who wait.
    fn open(&self, key: &Key, source: &ModelSource, told: &watch::Sender<Option<Outcome>>) {
        let started_at = Instant::now();
        let opened = catch_unwind(AssertUnwindSafe(|| self.opened(key, source)));
        let opened = opened.unwrap_or_else(|_| Err("opening it panicked".to_owned()));
        let (kind, name) = (key.0.label(), key.1.as_str());
        let mut slots = self.lock();
        let Some(slot) = slots.get_mut(key) else {
            return;
        };
        let outcome = match opened {
            Ok((model, bytes)) => {
                let took_ms = started_at.elapsed().as_millis() as u64;
                tracing::info!(kind, name, bytes, took_ms, "a model was opened");
                slot.identity = identity(&model).or(slot.identity.take());
                slot.state = SlotState::Open {
                    model: model.clone(),
                    bytes,
                    used_at: Instant::now(),
                };
                Ok(model)
            }
            Err(reason) => {
                tracing::warn!(kind, name, reason, "a model could not be opened");
                let failure = sentence(key, &reason);
                slot.state = SlotState::Failed {
                    failure: Arc::clone(&failure),
                    at: Instant::now(),
                };
                Err(failure)
            }
        };
        drop(slots);
        told.send_replace(Some(outcome));
    }

    fn opened(&self, key: &Key, source: &ModelSource) -> Result<(OpenModel, u64), String> {
        let folder = source.folder()?;
        let bytes = weights_bytes(&folder).map_err(|error| error.to_string())?;
        self.make_room(key, bytes)?;
        let opened = source.recipe.open(&folder);
        let opened = opened.map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok((opened, bytes))
    }

    /// Sets memory aside; models leave that nobody uses, the one first that was not used for longest.
    fn make_room(&self, key: &Key, bytes: u64) -> Result<(), String> {
        let Room {
            max_bytes,
            pinned_bytes,
            max_wait,
            ..
        } = self.room;
        if pinned_bytes.saturating_add(bytes) > max_bytes {
            return Err(format!(
                "its weights take {bytes} bytes and those of [encoder] and [reranker] {pinned_bytes}, over \
                 models.max_memory_bytes = {max_bytes}"
            ));
        }
        let until = Instant::now() + max_wait;
        while !self.try_make_room(key, bytes) {
            if Instant::now() >= until {
                return Err(format!(
                    "its weights take {bytes} bytes, and the models that are in use leave no room for them \
                     within models.max_memory_bytes = {max_bytes}; try again"
                ));
            }
            std::thread::sleep(LOOKS_FOR_ROOM);
        }
        Ok(())
    }

    fn try_make_room(&self, key: &Key, bytes: u64) -> bool {
        // Closed after the lock is given back: it may take a while.
        let mut leaving = Vec::new();
        let mut slots = self.lock();
        loop {
            let taken: u64 = slots.values().map(|slot| slot.state.bytes()).sum();
            if self.room.pinned_bytes + taken + bytes <= self.room.max_bytes {
                break;
            }
            let idle = slots
                .iter_mut()
                .filter_map(|(key, slot)| match &slot.state {
                    SlotState::Open { model, used_at, .. } if !model.is_in_use() => {
                        Some((*used_at, key, &mut slot.state))
                    }
                    _ => None,
                });
            let Some((_, (kind, name), state)) = idle.min_by_key(|(used_at, ..)| *used_at) else {
                return false;
            };
            tracing::info!(kind = kind.label(), name, "a model leaves, for another one");
            leaving.push(std::mem::replace(state, SlotState::Closed));
        }
        if let Some(SlotState::Opening { bytes: aside, .. }) =
            slots.get_mut(key).map(|slot| &mut slot.state)
        {
            *aside = bytes;
        }
        true
    }

    /// Names of the encoders with what each was when it was last opened.
    pub(super) fn encoders(&self) -> Vec<(String, Option<EncoderIdentity>)> {
        let slots = self.lock();
        let encoders = slots
            .iter()
            .filter(|((kind, _), _)| *kind == ModelKind::Encoder);
        encoders
            .map(|((_, name), slot)| (name.clone(), slot.identity.clone()))
            .collect()
    }

    /// What is known of each model, ordered by kind and name.
    pub(super) fn accounts(&self) -> Vec<ModelAccount> {
        let slots = self.lock();
        let account = |((kind, name), slot): (&Key, &Slot)| {
            let (open, failure) = match &slot.state {
                SlotState::Open { model, .. } => (Some(model.clone()), None),
                SlotState::Failed { failure, .. } => (None, Some(Arc::clone(failure))),
                SlotState::Closed | SlotState::Opening { .. } => (None, None),
            };
            ModelAccount {
                name: name.clone(),
                kind: *kind,
                model: slot.source.model.clone(),
                bytes: open.is_some().then(|| slot.state.bytes()),
                open,
                failure,
                identity: slot.identity.clone(),
            }
        };
        slots.iter().map(account).collect()
    }

    /// Between two statements the map is consistent, whatever a panicking thread left behind.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sentence((kind, name): &Key, reason: &str) -> Failure {
    format!("the {} {name:?} cannot be used: {reason}", kind.label()).into()
}

/// What an encoder is.
pub(super) fn identity(model: &OpenModel) -> Option<EncoderIdentity> {
    match model {
        OpenModel::Encoder(encoder) => Some(super::identity_of(encoder)),
        OpenModel::Reranker(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use siamese_encoder::EncoderOptions;

    use super::super::recipe::{ModelFolders, Recipe};
    use super::*;

    const ROOM: Room = Room {
        max_bytes: u64::MAX,
        pinned_bytes: 0,
        max_wait: Duration::ZERO,
        retry_after: Duration::ZERO,
    };
    const MODELS: [&str; 3] = ["bert-old-dialect", "bert-dense-prompts", "roberta"];

    /// Encoders of the tests, and how often a folder was looked for. One that is called `broken` is in no place.
    fn slots(room: Room) -> (Arc<Slots>, Arc<AtomicUsize>) {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models");
        let looked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looked);
        let folders = ModelFolders::new(models.clone(), move |name| {
            counted.fetch_add(1, Ordering::Relaxed);
            let is_broken = name == "broken";
            (!is_broken)
                .then(|| models.join(name))
                .ok_or_else(|| "it is in no place".to_owned())
        });
        let sources = MODELS.into_iter().chain(["broken"]).map(|name| {
            let source = ModelSource {
                recipe: Recipe::Encoder(EncoderOptions::default()),
                model: name.to_owned(),
                folders: folders.clone(),
            };
            (key(name), source)
        });
        (Arc::new(Slots::new(sources, room)), looked)
    }

    fn key(name: &str) -> Key {
        (ModelKind::Encoder, name.to_owned())
    }

    fn bytes_of(name: &str) -> u64 {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models");
        weights_bytes(&models.join(name)).unwrap()
    }

    fn open_ones(slots: &Slots) -> Vec<String> {
        let accounts = slots.accounts().into_iter();
        let open = accounts.filter(|account| account.open.is_some());
        open.map(|account| account.name).collect()
    }

    /// The thread that opened a model holds it for a moment after it has told so, and until then it is in use.
    async fn until_nobody_uses(slots: &Slots, name: &str) {
        let is_in_use = || match &slots.lock()[&key(name)].state {
            SlotState::Open { model, .. } => model.is_in_use(),
            _ => false,
        };
        while is_in_use() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn uses_at_the_same_time_open_a_model_once_and_one_that_gives_up_stops_nobody() {
        let (slots, looked) = slots(ROOM);
        let uses = (0..8).map(|_| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move { slots.get(&key("roberta")).await.unwrap() })
        });
        let mut uses: Vec<_> = uses.collect();
        uses.remove(0).abort();
        for used in uses {
            assert!(used.await.unwrap().is_ok());
        }
        assert_eq!(looked.load(Ordering::Relaxed), 1);
        assert!(slots.get(&key("unknown")).await.is_none());
    }

    #[tokio::test]
    async fn the_model_that_was_not_used_for_longest_leaves_and_one_in_use_stays() {
        let needed: u64 = MODELS[..2].iter().map(|name| bytes_of(name)).sum();
        let max_bytes = needed.max(bytes_of("roberta") + bytes_of(MODELS[0])) + 7;
        let (slots, _) = slots(Room {
            max_bytes,
            pinned_bytes: 7,
            ..ROOM
        });
        for name in [MODELS[0], MODELS[1], MODELS[0]] {
            drop(slots.get(&key(name)).await.unwrap().unwrap());
            until_nobody_uses(&slots, name).await;
        }
        assert_eq!(
            open_ones(&slots),
            ["bert-dense-prompts", "bert-old-dialect"]
        );
        let third = slots.get(&key("roberta")).await.unwrap().unwrap();
        assert_eq!(open_ones(&slots), ["bert-old-dialect", "roberta"]);
        let first = slots.get(&key(MODELS[0])).await.unwrap().unwrap();
        let refused = slots.get(&key(MODELS[1])).await.unwrap().unwrap_err();
        assert!(
            refused.contains("in use") && refused.contains(MODELS[1]),
            "{refused}"
        );
        assert_eq!(open_ones(&slots), ["bert-old-dialect", "roberta"]);
        drop(third);
        until_nobody_uses(&slots, "roberta").await;
        assert!(slots.get(&key(MODELS[1])).await.unwrap().is_ok());
        assert_eq!(
            open_ones(&slots),
            ["bert-dense-prompts", "bert-old-dialect"]
        );
        drop(first);
    }

    #[tokio::test]
    async fn a_model_that_never_fits_is_refused_with_both_sizes() {
        let bytes = bytes_of("roberta");
        let (slots, _) = slots(Room {
            max_bytes: bytes,
            pinned_bytes: 1,
            ..ROOM
        });
        let refused = slots.get(&key("roberta")).await.unwrap().unwrap_err();
        assert!(refused.contains(&bytes.to_string()), "{refused}");
        assert!(refused.contains("models.max_memory_bytes"), "{refused}");
    }

    #[tokio::test]
    async fn a_model_that_could_not_be_opened_is_tried_again_after_a_while() {
        for (retry_after, looks) in [(Duration::from_secs(3600), 1), (Duration::ZERO, 2)] {
            let (slots, looked) = slots(Room {
                retry_after,
                ..ROOM
            });
            for _ in 0..2 {
                let failure = slots.get(&key("broken")).await.unwrap().unwrap_err();
                assert!(failure.contains("\"broken\"") && failure.contains("in no place"));
            }
            assert_eq!(looked.load(Ordering::Relaxed), looks);
        }
    }
}
