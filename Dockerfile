# syntax=docker/dockerfile:1.7
# The origin as it is deployed: one program in an image without a shell. docs/operating/deploy.md says how it is run.
#
# Dependencies are compiled in a layer of their own, which a change of Seawall's code leaves as it is. Everything is
# pinned: the compiler by rust-toolchain.toml, crates by Cargo.lock, the images below by version (a registry's digest can
# be given for each in the build: --build-arg RUST_IMAGE=rust:...@sha256:...).

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS tools
ARG CARGO_CHEF_VERSION=0.1.78
RUN cargo install cargo-chef --version "${CARGO_CHEF_VERSION}" --locked
WORKDIR /seawall

FROM tools AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json --bin origin

FROM tools AS build
# The same bytes from the same sources, wherever they are built.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="--remap-path-prefix=/seawall=. --remap-path-prefix=/usr/local/cargo=cargo"
COPY --from=plan /seawall/recipe.json recipe.json
COPY rust-toolchain.toml rust-toolchain.toml
RUN cargo chef cook --release --locked --package seawall-origin --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package seawall-origin --bin origin \
    && cp target/release/origin /origin \
    && strip --strip-debug /origin

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="seawall-origin" \
      org.opencontainers.image.description="San Francisco permits: search and property reports" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /origin /origin
# The address of every interface: what lies before the container decides who reaches it.
ENV BIND=0.0.0.0 \
    PORT=8080 \
    LOG_FORMAT=json
EXPOSE 8080
# distroless calls it nonroot; a number can be checked by who runs the image.
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/origin", "check"]
# It writes no file, so the root file system may be read-only. SIGTERM lets requests finish.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/origin"]
CMD ["serve"]
