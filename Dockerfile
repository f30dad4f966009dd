# The image is one static program, the certificate authorities of the Debian image for the
# HTTPS of JWT issuers, and an empty directory for the data. It has no shell.
# It is built without PKCS #11, which takes cgo and the C library of a token's maker: for keys
# in a token make an image of your own, from CGO_ENABLED=1 go build -tags pkcs11 (docs/keys.md).
FROM golang:1.26.8-bookworm AS build
ENV GOCACHE=/cache/build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache/build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/pando ./cmd/pando \
    && mkdir -p /out/data /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/pando /pando
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
WORKDIR /data
VOLUME /data
# REST, gRPC, the trust bundle over plain HTTP, metrics and health.
EXPOSE 8443 8444 8080 9464
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/pando", "health"]
ENTRYPOINT ["/pando"]
CMD ["serve", "--data", "/data"]
