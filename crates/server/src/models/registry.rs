//! The models that are open, and those that can be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use siamese_encoder::{Encoder, Reranker};
use siamese_index::{CollectionEncoder, DEFAULT_ENCODER, EncoderIdentity};

use super::recipe::{self, ModelFolders, OpenModel, TrainedEncoders};
use super::slots::{MAX_WAIT_FOR_ROOM, ModelAccount, ModelKind, RETRY_AFTER, Room, Slots};
use crate::backend::Reader;
use crate::config::Settings;
use crate::error::{ApiError, ErrorCode};
use crate::request_part::RequestPart;

const NO_RERANKER: &str = "this service has no reranker; start it with --reranker DIR or set \
                           reranker.model to the folder of a cross-encoder";

/// Encoders of texts and what scores hits again, by name. Those of `[encoder]` and `[reranker]` are open from
/// the start and stay.
#[derive(Debug)]
pub(crate) struct Models {
    encoder: Pinned<Encoder>,
    reranker: Option<Pinned<Reranker>>,
    named: Arc<Slots>,
    trained: TrainedEncoders,
}

/// A model that is always open.
#[derive(Debug)]
pub(crate) struct Pinned<M> {
    pub(crate) model: Arc<M>,
    /// What the settings call it.
    pub(crate) configured: String,
    /// Of its weights.
    pub(crate) bytes: u64,
}

impl Models {
    pub(crate) fn new(
        encoder: Pinned<Encoder>,
        reranker: Option<Pinned<Reranker>>,
        settings: &Settings,
        folders: &ModelFolders,
    ) -> Self {
        let encoders = recipe::encoders(settings, folders);
        let encoders = encoders.map(|(name, source)| ((ModelKind::Encoder, name), source));
        let rerankers = recipe::rerankers(settings, folders);
        let rerankers = rerankers.map(|(name, source)| ((ModelKind::Reranker, name), source));
        let trained = TrainedEncoders::new(settings, folders);
        let pinned_bytes = encoder.bytes + reranker.as_ref().map_or(0, |reranker| reranker.bytes);
        let room = Room {
            max_bytes: settings.models.max_memory_bytes(),
            pinned_bytes,
            max_wait: MAX_WAIT_FOR_ROOM,
            retry_after: RETRY_AFTER,
        };
        let models = Self {
            encoder,
            reranker,
            named: Arc::new(Slots::new(encoders.chain(rerankers), room)),
            trained,
        };
        for (name, source) in models.trained.list(settings) {
            // What the settings say of a name counts.
            models.named.add((ModelKind::Encoder, name), source);
        }
        models
    }

    /// Lets a model that has been trained be used by its name.
    pub(crate) fn add_trained(&self, name: &str, folder: &Path) {
        let key = (ModelKind::Encoder, name.to_owned());
        self.named.add(key, self.trained.source(folder));
    }

    /// Returns whether an encoder has this name.
    pub(crate) fn has_encoder(&self, name: &str) -> bool {
        let mut encoders = self.named.encoders().into_iter();
        name == DEFAULT_ENCODER || encoders.any(|(known, _)| known == name)
    }

    /// Name and folder of an encoder that is called by its name, or as `GET /models` has it.
    ///
    /// # Errors
    /// 404 when none is called so, 503 when its folder is not there.
    pub(crate) fn folder_of_encoder(&self, id: &str) -> Result<(String, PathBuf), ApiError> {
        let mut accounts = self.accounts();
        accounts.retain(|account| account.kind == ModelKind::Encoder);
        let own = &self.encoder.model.info().model;
        let is_meant = |account: &&ModelAccount| {
            account.model == id || (account.name == DEFAULT_ENCODER && own == id)
        };
        let by_name = accounts.iter().find(|account| account.name == id);
        let found = by_name.or_else(|| accounts.iter().find(is_meant));
        let Some(ModelAccount { name, .. }) = found else {
            let detail = format!(
                "no encoder is called {id:?}; there are {}",
                self.names(ModelKind::Encoder)
            );
            return Err(ApiError::new(ErrorCode::ModelNotFound, detail));
        };
        let key = (ModelKind::Encoder, name.clone());
        let folder = match self.named.folder(&key) {
            Some(folder) => folder.map_err(|reason| ApiError::model_unavailable(reason, None))?,
            None => self.trained.default_encoder().to_owned(),
        };
        Ok((name.clone(), folder))
    }

    /// The encoder that is used where none is named.
    pub(crate) fn encoder(&self) -> &Arc<Encoder> {
        &self.encoder.model
    }

    /// The reranker that is used where none is named.
    ///
    /// # Errors
    /// 404 when the service was started without one.
    pub(crate) fn reranker(&self) -> Result<&Arc<Reranker>, ApiError> {
        let reranker = self.reranker.as_ref().map(|reranker| &reranker.model);
        reranker.ok_or_else(|| ApiError::new(ErrorCode::RerankerNotFound, NO_RERANKER))
    }

    /// The encoder of a name in the settings, with what a collection keeps of it.
    ///
    /// # Errors
    /// 422 when there is none, 503 when it cannot be opened.
    pub(crate) async fn encoder_named(
        &self,
        name: &str,
    ) -> Result<(Arc<Encoder>, CollectionEncoder), ApiError> {
        let encoder = if name == DEFAULT_ENCODER {
            Arc::clone(self.encoder())
        } else {
            let found = self.named_encoder(name).await?;
            found.ok_or_else(|| {
                let detail = format!(
                    "no encoder is called {name:?}; there are {}",
                    self.names(ModelKind::Encoder)
                );
                ApiError::about(RequestPart::Encoder, detail)
            })?
        };
        let made_by = CollectionEncoder {
            name: name.to_owned(),
            identity: identity_of(&encoder),
        };
        Ok((encoder, made_by))
    }

    /// The encoder that made a collection's vectors, under whatever name the settings have it.
    ///
    /// # Errors
    /// 503 that says which encoder it needs, when none in the settings is that one or it cannot be opened.
    pub(crate) async fn encoder_of(&self, collection: &Reader) -> Result<Arc<Encoder>, ApiError> {
        let wanted = collection.encoder();
        let id = &wanted.identity.id;
        if self.encoder().info().id.as_str() == id {
            return Ok(Arc::clone(self.encoder()));
        }
        let mut candidates = self.named.encoders();
        candidates.retain(|(name, known)| match known {
            Some(known) => known.id == *id,
            // What the name meant when the collection was made, or what has not been opened yet.
            None => *name == wanted.name || !self.knows(id),
        });
        candidates.sort_by_key(|(name, known)| (known.is_none(), *name != wanted.name));
        let mut failure = None;
        for (name, _) in candidates {
            match self.named_encoder(&name).await {
                Ok(Some(encoder)) if encoder.info().id.as_str() == id => return Ok(encoder),
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(missing(collection.name(), &wanted, failure.as_ref()))
    }

    /// Returns whether some encoder has been found to be this one.
    fn knows(&self, id: &str) -> bool {
        let encoders = self.named.encoders().into_iter();
        encoders
            .filter_map(|(_, known)| known)
            .any(|known| known.id == id)
    }

    /// The encoder that a request names, as the settings or `GET /models` do; the default one when it names
    /// none. Where there is only one, any name means it: clients of other services send theirs.
    ///
    /// # Errors
    /// 404 when there are several and none has this name, 503 when it cannot be opened.
    pub(crate) async fn encoder_for(&self, model: Option<&str>) -> Result<Arc<Encoder>, ApiError> {
        let default = &self.encoder;
        match self.named_for(
            ModelKind::Encoder,
            model,
            &default.configured,
            &default.model.info().model,
        )? {
            None => Ok(Arc::clone(&default.model)),
            Some(name) => match self.named_encoder(&name).await? {
                Some(encoder) => Ok(encoder),
                None => Err(ApiError::internal("a model of the settings is gone")),
            },
        }
    }

    /// As [`Self::encoder_for`], of rerankers.
    ///
    /// # Errors
    /// As there, and 404 when none is named and there is no default one.
    pub(crate) async fn reranker_for(
        &self,
        model: Option<&str>,
    ) -> Result<Arc<Reranker>, ApiError> {
        let (configured, own) = match &self.reranker {
            Some(reranker) => (
                reranker.configured.as_str(),
                reranker.model.info().model.as_str(),
            ),
            None => (DEFAULT_ENCODER, DEFAULT_ENCODER),
        };
        let Some(name) = self.named_for(ModelKind::Reranker, model, configured, own)? else {
            return self.reranker().cloned();
        };
        match self.named.get(&(ModelKind::Reranker, name)).await {
            Some(Ok(OpenModel::Reranker(reranker))) => Ok(reranker),
            Some(Err(failure)) => Err(unavailable(&failure)),
            _ => Err(ApiError::internal("a model of the settings is gone")),
        }
    }

    /// Which of the models with names a request means; nothing for the default one.
    fn named_for(
        &self,
        kind: ModelKind,
        wanted: Option<&str>,
        configured: &str,
        own: &str,
    ) -> Result<Option<String>, ApiError> {
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let mut accounts = self.named.accounts();
        accounts.retain(|account| account.kind == kind);
        if let Some(found) = accounts.iter().find(|account| account.name == wanted) {
            return Ok(Some(found.name.clone()));
        }
        if accounts.is_empty() || [DEFAULT_ENCODER, configured, own].contains(&wanted) {
            return Ok(None);
        }
        if let Some(found) = accounts.iter().find(|account| account.model == wanted) {
            return Ok(Some(found.name.clone()));
        }
        let detail = format!(
            "no model is called {wanted:?}; there are {}",
            self.names(kind)
        );
        Err(ApiError::new(ErrorCode::ModelNotFound, detail))
    }

    async fn named_encoder(&self, name: &str) -> Result<Option<Arc<Encoder>>, ApiError> {
        match self.named.get(&(ModelKind::Encoder, name.to_owned())).await {
            None => Ok(None),
            Some(Ok(OpenModel::Encoder(encoder))) => Ok(Some(encoder)),
            Some(Ok(OpenModel::Reranker(_))) => Err(ApiError::internal("an encoder is a reranker")),
            Some(Err(failure)) => Err(unavailable(&failure)),
        }
    }

    fn names(&self, kind: ModelKind) -> String {
        let accounts = self.accounts();
        let names = accounts.iter().filter(|account| account.kind == kind);
        let names: Vec<String> = names.map(|account| format!("{:?}", account.name)).collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        names.join(", ")
    }

    /// What is known of each model, the default ones first.
    pub(crate) fn accounts(&self) -> Vec<ModelAccount> {
        let encoder = ModelAccount {
            name: DEFAULT_ENCODER.to_owned(),
            kind: ModelKind::Encoder,
            model: self.encoder.configured.clone(),
            open: Some(OpenModel::Encoder(Arc::clone(self.encoder()))),
            failure: None,
            bytes: Some(self.encoder.bytes),
            identity: Some(identity_of(self.encoder())),
        };
        let reranker = self.reranker.as_ref().map(|reranker| ModelAccount {
            name: DEFAULT_ENCODER.to_owned(),
            kind: ModelKind::Reranker,
            model: reranker.configured.clone(),
            open: Some(OpenModel::Reranker(Arc::clone(&reranker.model))),
            failure: None,
            bytes: Some(reranker.bytes),
            identity: None,
        });
        let defaults = [Some(encoder), reranker].into_iter().flatten();
        defaults.chain(self.named.accounts()).collect()
    }
}

/// What an encoder is to the index.
pub(crate) fn identity_of(encoder: &Encoder) -> EncoderIdentity {
    let info = encoder.info();
    EncoderIdentity {
        id: info.id.to_string(),
        name: info.model.clone(),
        dimensions: info.dimensions,
    }
}

fn unavailable(failure: &str) -> ApiError {
    ApiError::model_unavailable(failure, Some(RETRY_AFTER.as_secs()))
}

fn missing(collection: &str, wanted: &CollectionEncoder, failure: Option<&ApiError>) -> ApiError {
    let EncoderIdentity {
        id,
        name,
        dimensions,
    } = &wanted.identity;
    let needs = format!(
        "the collection {collection:?} needs the encoder {name} with the identity {id} and {dimensions} \
         dimensions, called {:?} when it was made, and ",
        wanted.name
    );
    match failure {
        Some(failure) => {
            let detail = format!("{needs}{}", failure.detail());
            ApiError::model_unavailable(detail, Some(RETRY_AFTER.as_secs()))
        }
        None => {
            let detail = format!(
                "{needs}no encoder in the settings is that one; add it as [encoders.NAME] and start again"
            );
            ApiError::model_unavailable(detail, None)
        }
    }
}
