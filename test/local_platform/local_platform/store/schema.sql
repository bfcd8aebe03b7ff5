-- Every table of the state; a description is the JSON that clients see, and more.
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entity (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, class TEXT NOT NULL,
    state TEXT, description TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entity_state ON entity (class, state);
CREATE INDEX IF NOT EXISTS entity_name ON entity (json_extract(description, '$.name'));
CREATE INDEX IF NOT EXISTS entity_parent ON entity (json_extract(description, '$.parentJob'));
CREATE INDEX IF NOT EXISTS entity_tree ON entity (json_extract(description, '$.rootExecution'));
CREATE TABLE IF NOT EXISTS placement (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, object TEXT NOT NULL, container TEXT NOT NULL,
    folder TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}', UNIQUE (object, container));
CREATE INDEX IF NOT EXISTS placement_container ON placement (container);
CREATE INDEX IF NOT EXISTS placement_name ON placement (json_extract(metadata, '$.name'));
CREATE INDEX IF NOT EXISTS placement_folder ON placement (container, folder);
CREATE TABLE IF NOT EXISTS folder (container TEXT, path TEXT, PRIMARY KEY (container, path));
CREATE TABLE IF NOT EXISTS part (
    file TEXT, number INTEGER, size INTEGER NOT NULL, md5 TEXT NOT NULL,
    state TEXT NOT NULL, PRIMARY KEY (file, number));
CREATE TABLE IF NOT EXISTS token (signature TEXT PRIMARY KEY, job TEXT);
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, frame TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_job ON log (job, seq);
CREATE TABLE IF NOT EXISTS nonce (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL, time INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS nonce_time ON nonce (time);
