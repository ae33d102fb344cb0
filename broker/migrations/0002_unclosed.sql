-- Peers at an engine outside that could not be closed when they should have been: the reaper tries again.

CREATE TABLE unclosed (
    peer TEXT PRIMARY KEY NOT NULL,
    since BIGINT NOT NULL
);
