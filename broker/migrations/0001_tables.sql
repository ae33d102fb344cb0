-- One text for SQLite and PostgreSQL. Moments are UTC in milliseconds since 1970; yes and no are 1 and 0.

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE users (
    email TEXT PRIMARY KEY NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Tokens from before this moment are void: the password was changed.
    tokens_since BIGINT NOT NULL
);

CREATE TABLE robot_keys (
    id TEXT PRIMARY KEY NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    key_prefix TEXT NOT NULL,
    robot_id TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX robot_keys_of_owner ON robot_keys (owner_id);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    row_version BIGINT NOT NULL,
    owner_id TEXT NOT NULL,
    robot_id TEXT NOT NULL,
    robot_name TEXT NOT NULL,
    robot_type TEXT,
    transport TEXT NOT NULL,
    twist_units TEXT,
    key_prefix TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    superseded_by TEXT,
    -- The process that holds the peers, for engines inside of the broker.
    engine_node TEXT,
    -- What the robot's heartbeats tell.
    last_heartbeat BIGINT NOT NULL,
    rtt_ms DOUBLE PRECISION,
    packet_loss_pct DOUBLE PRECISION,
    video_bitrate_kbps BIGINT,
    command_rate_hz DOUBLE PRECISION,
    safety_state TEXT NOT NULL,
    -- The robot's leg.
    robot_peer TEXT,
    video_mid TEXT,
    video_track TEXT,
    -- The operator's leg.
    operator_id TEXT,
    operator_heartbeat BIGINT,
    lease_id TEXT,
    operator_peer TEXT,
    audio_mid TEXT,
    audio_track TEXT,
    -- The bridge. The robot's ids outlive it as `stale_…`: an engine outside may still hold publications for them.
    bridge_generation BIGINT NOT NULL,
    robot_cmd BIGINT,
    robot_state BIGINT,
    robot_state_back BIGINT,
    robot_map BIGINT,
    operator_cmd BIGINT,
    operator_state BIGINT,
    operator_state_back BIGINT,
    operator_map BIGINT,
    stale_cmd BIGINT,
    stale_state BIGINT,
    stale_state_back BIGINT,
    stale_map BIGINT,
    -- Offers that wait for an answer.
    video_offer TEXT,
    video_offer_failures BIGINT NOT NULL,
    robot_offer TEXT,
    robot_offer_at BIGINT,
    robot_offer_failures BIGINT NOT NULL
);

CREATE INDEX sessions_of_owner ON sessions (owner_id, state);
CREATE INDEX sessions_by_state ON sessions (state, last_heartbeat);

CREATE TABLE viewers (
    peer TEXT PRIMARY KEY NOT NULL,
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    heartbeat BIGINT NOT NULL,
    video_offer BIGINT NOT NULL
);

CREATE INDEX viewers_of_session ON viewers (session_id);

CREATE TABLE audit (
    id TEXT PRIMARY KEY NOT NULL,
    session_id TEXT NOT NULL,
    ts BIGINT NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
);

CREATE INDEX audit_of_session ON audit (session_id, id);

CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE nodes (
    id TEXT PRIMARY KEY NOT NULL,
    url TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);
