-- A catalog.db of version 1, as the code before migrations laid it out (git show e7efa2e^:src/catalog/local/local_catalog.c),
-- with what a user of it had made.
CREATE TABLE metastores (id TEXT PRIMARY KEY) STRICT;
CREATE TABLE catalogs (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES metastores(id), name TEXT NOT NULL,
  comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL, created_by TEXT, updated_at
  INTEGER NOT NULL, updated_by TEXT, storage_root TEXT, storage_location TEXT, UNIQUE (parent_id, name)) STRICT;
CREATE TABLE schemas (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES catalogs(id) ON DELETE CASCADE, name
  TEXT NOT NULL, comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL, created_by TEXT,
  updated_at INTEGER NOT NULL, updated_by TEXT, storage_root TEXT, storage_location TEXT, UNIQUE (parent_id, name))
  STRICT;
CREATE TABLE tables (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES schemas(id) ON DELETE CASCADE, name
  TEXT NOT NULL, comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL, created_by TEXT,
  updated_at INTEGER NOT NULL, updated_by TEXT, table_type TEXT NOT NULL, data_source_format TEXT, columns TEXT NOT
  NULL, storage_location TEXT NOT NULL, UNIQUE (parent_id, name)) STRICT;
CREATE TABLE staging_tables (id TEXT PRIMARY KEY, schema_id TEXT NOT NULL REFERENCES schemas(id) ON DELETE CASCADE,
  name TEXT NOT NULL, location TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, created_by TEXT, committed_at
  INTEGER) STRICT;
CREATE INDEX staging_by_schema ON staging_tables (schema_id);
CREATE TABLE lineage_runs (id TEXT PRIMARY KEY, job TEXT NOT NULL, engine TEXT, state TEXT NOT NULL, event_time TEXT
  NOT NULL, last_event INTEGER NOT NULL) STRICT;
CREATE INDEX lineage_runs_by_event ON lineage_runs (last_event);
CREATE TABLE lineage_events (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, event TEXT NOT NULL) STRICT;
CREATE TABLE lineage_datasets (run_id TEXT NOT NULL REFERENCES lineage_runs(id), output INTEGER NOT NULL, name TEXT
  NOT NULL, PRIMARY KEY (run_id, output, name)) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_datasets_by_name ON lineage_datasets (name, output);
INSERT INTO metastores VALUES ('11111111-1111-4111-8111-111111111111');
INSERT INTO catalogs VALUES ('22222222-2222-4222-8222-222222222222', '11111111-1111-4111-8111-111111111111', 'main', NULL,
  '{}', 'admin', 1795400000000, 'admin', 1795400000000, 'admin', NULL, NULL);
INSERT INTO schemas VALUES ('33333333-3333-4333-8333-333333333333', '22222222-2222-4222-8222-222222222222', 'sales',
  'what was sold', '{"team":"b"}', 'admin', 1795400000001, 'admin', 1795400000001, 'admin', NULL, NULL);
INSERT INTO tables VALUES ('44444444-4444-4444-8444-444444444444', '33333333-3333-4333-8333-333333333333', 'orders', NULL,
  '{"a":"1"}', 'admin', 1795400000002, 'admin', 1795400000003, 'admin', 'EXTERNAL', 'DELTA', '[{"name":"id"}]',
  'file:///data/orders'), ('55555555-5555-4555-8555-555555555555', '33333333-3333-4333-8333-333333333333', 'invoices', NULL,
  '{}', 'admin', 1795400000004, 'admin', 1795400000004, 'admin', 'MANAGED', 'DELTA', '[]',
  'file:///data/__unitystorage/schemas/3/tables/5');
INSERT INTO staging_tables VALUES ('66666666-6666-4666-8666-666666666666', '33333333-3333-4333-8333-333333333333', 'next',
  'file:///data/__unitystorage/schemas/3/tables/6', 1795400000005, 'admin', NULL);
INSERT INTO lineage_runs VALUES ('77777777-7777-4777-8777-777777777777', 'nightly', 'spark', 'COMPLETE',
  '2026-11-23T09:00:00.000Z', 1);
INSERT INTO lineage_events VALUES (1, '77777777-7777-4777-8777-777777777777', '{}');
INSERT INTO lineage_datasets VALUES ('77777777-7777-4777-8777-777777777777', 0, 'main.sales.orders'),
  ('77777777-7777-4777-8777-777777777777', 1, 'main.sales.invoices');
PRAGMA user_version = 1;
