//! The encoder: a model folder, opened.

use std::panic::resume_unwind;
use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::backbones::BackboneOptions;
use crate::device::DevicePreference;
use crate::encoder_id::{EncoderId, EncoderIdBuilder, hash_files};
use crate::encoder_info::{EncoderInfo, SimilarityFunction};
use crate::forward::{self, TextStates};
use crate::model_folder::{self, ModelDescription, PromptSettings};
use crate::steps::OpenStep;
use crate::tokenize::{TextInput, TextToken, TextTokenizer, TokenizedText, Truncation};
use crate::tower::Tower;
use crate::towers::Towers;
use crate::{Error, Precision};
use siamese_kernels::Kernels;

/// What a text is. Asymmetric models put different prompts before the two; others ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// A query.
    Query,
    /// Something to be found.
    Document,
}

/// How to open an encoder; the default is the model as it is, on the best device.
#[derive(Debug, Clone, Default)]
pub struct EncoderOptions {
    /// Where the forward pass runs.
    pub device: DevicePreference,
    /// Truncate vectors to this many dimensions; for models trained for it.
    pub dimensions: Option<usize>,
    /// Tokens of a text that are read; at most the model's own window.
    pub max_tokens: Option<usize>,
    /// Threads of the forward pass on the CPU; one per core without it.
    pub threads: Option<usize>,
    /// How weights are kept and multiplied.
    pub precision: Precision,
    /// Take the generic path through candle, which GPUs take, even where there is a faster one.
    pub generic: bool,
}

/// A text's vector, and how much of the text is in it.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// The embedding, [`EncoderInfo::dimensions`] long.
    pub vector: Vec<f32>,
    /// Tokens of the whole text.
    pub tokens_seen: usize,
    /// Tokens that were encoded.
    pub tokens_kept: usize,
}

/// Turns texts into vectors. It can be shared between threads.
#[derive(Debug)]
pub struct Encoder {
    info: EncoderInfo,
    prompts: PromptSettings,
    towers: Towers<Tower>,
    /// For tokenising, and for a backbone without threads of its own.
    threads: ThreadPool,
}

impl Encoder {
    /// Opens a model folder of sentence-transformers or Model2Vec.
    ///
    /// # Errors
    /// A missing or damaged file, something unsupported (named), or options that do not fit.
    pub fn open(model_dir: &Path, options: &EncoderOptions) -> Result<Self, Error> {
        let ModelDescription { towers, prompts } = &model_folder::describe(model_dir)?;
        let backbone_options = BackboneOptions {
            device: options.device.open()?,
            threads: threads(options.threads),
            precision: options.precision,
            generic: options.generic,
            kernels: Kernels::detected(),
        };
        let truncate = options.dimensions.or(prompts.truncate_dim);
        let model_type = towers.describe(|it| it.input.model_type().to_owned());
        let (opened, hashed) = beside(
            || {
                towers.open(|tower, other| {
                    Tower::open(tower, truncate, options, &backbone_options, other)
                })
            },
            || hash_files(towers),
        );
        let opened = opened?;
        let document = opened.document();
        if let Some(other) = opened
            .iter()
            .find(|it| it.dimensions != document.dimensions)
        {
            return Err(Error::DifferentDimensions {
                query: other.dimensions,
                document: document.dimensions,
            });
        }
        check_similarity(prompts.similarity, &opened)?;
        let info = EncoderInfo {
            model: folder_name(model_dir),
            id: identify(hashed?, &opened, prompts),
            model_type,
            dimensions: document.dimensions,
            max_tokens: document.max_tokens,
            pooling: document.pooling.modes.clone(),
            prompts: prompts.prompts.clone(),
            default_prompt_name: prompts.default_prompt_name.clone(),
            similarity: prompts.similarity,
            device: opened.describe(|tower| tower.device.to_owned()),
            path: opened.describe(|tower| tower.backbone.path()),
        };
        Ok(Self {
            info,
            prompts: prompts.clone(),
            towers: opened,
            threads: thread_pool(backbone_options.threads)?,
        })
    }

    /// What this encoder is.
    pub fn info(&self) -> &EncoderInfo {
        &self.info
    }

    /// The text put before a text of this kind; empty for symmetric models.
    pub fn prompt(&self, kind: InputKind) -> &str {
        self.prompts.prompt(kind)
    }

    /// Token ids of a text with its prompt, cut at the window.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn tokenize(&self, text: &str, kind: InputKind) -> Result<TokenizedText, Error> {
        let text = TextInput::Text(text);
        self.tokenize_after(kind, self.prompt(kind), text, Truncation::End)
    }

    fn tokenize_after(
        &self,
        kind: InputKind,
        prompt: &str,
        input: TextInput<'_>,
        truncation: Truncation,
    ) -> Result<TokenizedText, Error> {
        let Tower {
            tokenizer, pooling, ..
        } = self.tower(kind);
        let mut tokenized = match input {
            TextInput::Text(text) => tokenizer.tokenize(prompt, text, truncation)?,
            TextInput::Ids(ids) => tokenizer.tokenize_ids(prompt, ids, truncation)?,
        };
        tokenized.kind = kind;
        if !pooling.include_prompt && !prompt.is_empty() {
            // The prompt alone ends with one special token more than it has inside a text.
            let alone = tokenizer.tokenize(prompt, "", Truncation::End)?;
            let cut = match truncation {
                Truncation::End => 0,
                Truncation::Start => tokenized.tokens_seen() - tokenized.tokens_kept(),
            };
            tokenized.prompt_tokens = (alone.tokens_kept() - 1).saturating_sub(cut);
        }
        Ok(tokenized)
    }

    /// Token ids of many texts, on all threads, in their order.
    ///
    /// # Errors
    /// As [`Self::tokenize`].
    pub fn tokenize_all(
        &self,
        texts: &[&str],
        kind: InputKind,
    ) -> Result<Vec<TokenizedText>, Error> {
        let texts: Vec<_> = texts.iter().map(|text| TextInput::Text(text)).collect();
        self.tokenize_all_after(kind, self.prompt(kind), &texts, Truncation::End)
    }

    /// Token ids of many texts of a kind, each after `prompt`, in their order.
    ///
    /// # Errors
    /// As [`Self::tokenize`].
    pub fn tokenize_all_after(
        &self,
        kind: InputKind,
        prompt: &str,
        inputs: &[TextInput<'_>],
        truncation: Truncation,
    ) -> Result<Vec<TokenizedText>, Error> {
        // Waking a thread takes as long as a short text.
        if let [input] = inputs {
            return Ok(vec![self.tokenize_after(kind, prompt, *input, truncation)?]);
        }
        let tokenize =
            |input: &TextInput<'_>| self.tokenize_after(kind, prompt, *input, truncation);
        self.threads
            .install(|| inputs.par_iter().map(tokenize).collect())
    }

    /// Whether the tokenizer has a token with this id.
    pub fn has_token(&self, id: u32) -> bool {
        self.tokenizer(InputKind::Document).has_token(id)
    }

    /// The number of tokens that the tokenizer has.
    pub fn vocabulary_size(&self) -> usize {
        self.tokenizer(InputKind::Document).vocabulary_size()
    }

    /// All tokens of a text, whatever the window, with the special ones around them if asked for.
    /// Takes memory for each token.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn text_tokens(
        &self,
        text: &str,
        with_special_tokens: bool,
    ) -> Result<Vec<TextToken>, Error> {
        self.tokenizer(InputKind::Document)
            .text_tokens(text, with_special_tokens)
    }

    /// The token with this id as the vocabulary writes it, if there is one.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer(InputKind::Document).token(id)
    }

    /// The text that tokens stand for.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        self.tokenizer(InputKind::Document)
            .decode(ids, skip_special_tokens)
    }

    /// Length of the state of each token of a text of a kind, of which
    /// [`TokenizedText::for_token_states`] returns all.
    pub fn state_width(&self, kind: InputKind) -> usize {
        self.tower(kind).state_width
    }

    /// Byte spans of a text's tokens, in order, without prompt, special tokens and window.
    ///
    /// Spans lie on characters; they overlap where several tokens make up one character, and
    /// leave out what the tokenizer drops, such as white space. Takes time linear in the text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn token_spans(&self, text: &str) -> Result<Vec<std::ops::Range<usize>>, Error> {
        self.tokenizer(InputKind::Document).spans(text)
    }

    /// Vectors of tokenised texts, in their order, whatever their number and lengths.
    ///
    /// # Errors
    /// A failed forward pass, or a value in it that is not finite.
    pub fn encode_tokenized(&self, texts: &[&TokenizedText]) -> Result<Vec<Vec<f32>>, Error> {
        self.vectors(texts, None)
    }

    /// As [`Self::encode_tokenized`], while other texts are encoded. The packed path has threads
    /// of its own for this, with the priority of the thread that calls first, and calls `pause` on
    /// them after each layer; the generic path never does.
    ///
    /// # Errors
    /// As [`Self::encode_tokenized`], and when the operating system gives no threads.
    pub fn encode_in_background(
        &self,
        texts: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.vectors(texts, Some(pause))
    }

    fn vectors(
        &self,
        texts: &[&TokenizedText],
        pause: Option<&(dyn Fn() + Sync)>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        if let Towers::Shared(tower) = &self.towers {
            return self.vectors_of(tower, texts, pause);
        }
        let mut vectors = vec![Vec::new(); texts.len()];
        for kind in [InputKind::Query, InputKind::Document] {
            let of_kind = |place: &usize| texts[*place].kind == kind;
            let places: Vec<usize> = (0..texts.len()).filter(of_kind).collect();
            let of_kind: Vec<_> = places.iter().map(|place| texts[*place]).collect();
            let made = self.vectors_of(self.tower(kind), &of_kind, pause);
            let made = made.map_err(|error| match error {
                Error::NonFinite { index } => Error::NonFinite {
                    index: places[index],
                },
                other => other,
            });
            for (place, vector) in places.iter().zip(made?) {
                vectors[*place] = vector;
            }
        }
        Ok(vectors)
    }

    fn vectors_of(
        &self,
        tower: &Tower,
        texts: &[&TokenizedText],
        pause: Option<&(dyn Fn() + Sync)>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let vector = |index, states: TextStates<'_>| checked_vector(tower, index, states, texts);
        forward::run(tower.backbone.as_ref(), &self.threads, texts, pause, vector)
    }

    /// Tokenises and encodes texts, in their order.
    ///
    /// # Errors
    /// As [`Self::tokenize`] and [`Self::encode_tokenized`].
    pub fn encode(&self, texts: &[&str], kind: InputKind) -> Result<Vec<Encoding>, Error> {
        let tokenized = self.tokenize_all(texts, kind)?;
        let vectors = self.encode_tokenized(&tokenized.iter().collect::<Vec<_>>())?;
        let encodings = vectors
            .into_iter()
            .zip(&tokenized)
            .map(|(vector, text)| Encoding {
                vector,
                tokens_seen: text.tokens_seen(),
                tokens_kept: text.tokens_kept(),
            });
        Ok(encodings.collect())
    }

    /// What reads texts of a kind.
    pub(crate) fn tokenizer(&self, kind: InputKind) -> &TextTokenizer {
        &self.tower(kind).tokenizer
    }

    /// What texts of a kind go through.
    pub(crate) fn tower(&self, kind: InputKind) -> &Tower {
        self.towers.of(kind)
    }

    /// All that texts may go through.
    pub(crate) fn towers(&self) -> impl Iterator<Item = &Tower> {
        self.towers.iter()
    }
}

/// # Errors
/// When vectors have to be compared otherwise than by cosine. Those of length 1 have the same order by
/// their product and by their distance.
fn check_similarity(similarity: SimilarityFunction, towers: &Towers<Tower>) -> Result<(), Error> {
    let ranks_as_cosine = match similarity {
        SimilarityFunction::Cosine => true,
        SimilarityFunction::Dot | SimilarityFunction::Euclidean => towers
            .iter()
            .all(|tower| matches!(tower.steps.last(), Some(OpenStep::Normalize))),
        SimilarityFunction::Manhattan => false,
    };
    match ranks_as_cosine {
        true => Ok(()),
        false if similarity == SimilarityFunction::Manhattan => Err(Error::UnsupportedSetting {
            key: "similarity_fn_name",
            value: similarity.to_string(),
        }),
        false => Err(Error::UnsupportedSimilarity { similarity }),
    }
}

/// The vector of one of these texts.
fn checked_vector(
    tower: &Tower,
    index: usize,
    states: TextStates<'_>,
    texts: &[&TokenizedText],
) -> Result<Vec<f32>, Error> {
    let text = texts[index];
    let vector = match text.wants_token_states {
        true => states.values.to_vec(),
        false => tower.vector(states, text.prompt_tokens),
    };
    match vector.iter().all(|value| value.is_finite()) {
        true => Ok(vector),
        false => Err(Error::NonFinite { index }),
    }
}

/// The window that was asked for, if the model has it; else the model's own.
///
/// # Errors
/// When it is out of range.
pub(crate) fn window(
    requested: Option<usize>,
    available: usize,
    minimum: usize,
) -> Result<usize, Error> {
    let requested = requested.unwrap_or(available);
    if (minimum..=available).contains(&requested) {
        return Ok(requested);
    }
    Err(Error::WindowOutOfRange {
        requested,
        minimum,
        available,
    })
}

/// Does two things at once. To read and pack the weights and to hash them take about equally long, and a service
/// starts when both are done.
fn beside<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        (one, other)
    })
}

/// Adds what decides the vectors beside the files.
fn identify(
    mut id: EncoderIdBuilder,
    opened: &Towers<Tower>,
    prompts: &PromptSettings,
) -> EncoderId {
    for kind in [InputKind::Query, InputKind::Document] {
        id.part("prompt", prompts.prompt(kind).as_bytes());
    }
    for tower in opened.iter() {
        id.part("window", &(tower.max_tokens as u64).to_le_bytes());
    }
    let dimensions = opened.document().dimensions;
    id.part("dimensions", &(dimensions as u64).to_le_bytes());
    id.finish()
}

/// The name of a model: that of its folder.
pub(crate) fn folder_name(folder: &Path) -> String {
    let folder = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(
        || "model".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Threads of the forward pass: as asked for, else one for each core.
pub(crate) fn threads(wanted: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    wanted.unwrap_or_else(cores).max(1)
}

/// Threads for what the backbone does not do itself.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn thread_pool(threads: usize) -> Result<ThreadPool, Error> {
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?)
}
