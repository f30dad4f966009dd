-- +goose Up

-- Mass re-issues. Those without an end are part of the generation.
CREATE TABLE incidents (
    id            text             PRIMARY KEY COLLATE "C",
    created_at    timestamptz      NOT NULL,
    actor         text             NOT NULL,
    reason        text             NOT NULL,
    issuers       text[]           NOT NULL,
    issued_before timestamptz      NOT NULL,
    starts_at     timestamptz      NOT NULL,
    deadline      timestamptz      NOT NULL,
    rate          double precision NOT NULL, -- certificates per second
    total         bigint           NOT NULL,
    closed_at     timestamptz
);
