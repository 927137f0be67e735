/*
 * delta_contract.h: what Unity Catalog asks of a catalog-managed Delta table, and how a table's protocol and domain
 * metadata are kept as properties. Library-private.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_DELTA_CONTRACT_H
#define ISTHMUS_CATALOG_LOCAL_DELTA_CONTRACT_H

#include "catalog/catalog_json.h"

#define IST__LAST_UPDATE_VERSION "delta.lastUpdateVersion"
#define IST__LAST_COMMIT_TIMESTAMP "delta.lastCommitTimestamp"

/* Add what a staging table's answer says of it: required-protocol, suggested-protocol, required-properties, ... */
void ist__delta_contract_describe(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *table_id);

/*
 * Does a managed table keep the contract? Errors: INVALID_ARGUMENT.
 *   protocol    {"min-reader-version", "min-writer-version", "reader-features", "writer-features"}
 *   properties  with those that come of protocol and domain metadata
 */
ist_status ist__delta_contract_check(yyjson_val *protocol, yyjson_mut_val *properties, ist_error *err);
/* Has each domain that the properties tell of the feature that it needs, among theirs? */
ist_status ist__delta_contract_check_domains(yyjson_mut_val *properties, ist_error *err);

/* Set a property, or replace it; key and value are copied. */
void ist__delta_property_set(yyjson_mut_doc *doc, yyjson_mut_val *properties, const char *key, const char *value);
void ist__delta_property_set_number(yyjson_mut_doc *doc, yyjson_mut_val *properties, const char *key, int64_t value);
/* Replace what the properties tell of the protocol. Errors: INVALID_ARGUMENT. */
ist_status ist__delta_protocol_apply(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *protocol,
                                     ist_error *err);
/* Set what they tell of the domains in {"delta.clustering", "delta.rowTracking"}; *count of them. */
ist_status ist__delta_domains_apply(yyjson_mut_doc *doc, yyjson_mut_val *properties, yyjson_val *domains, int *count,
                                    ist_error *err);
/* The property that tells of a domain; NULL for a domain that has none. */
const char *ist__delta_domain_property(const char *domain);

#endif
