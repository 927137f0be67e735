/*
 * sys/credentials.h: short-lived credentials that a store uses and that renew themselves.
 *
 * Credentials are Unity Catalog's TemporaryCredentials in JSON: aws_temp_credentials, azure_user_delegation_sas or
 * gcp_oauth_token, expiration_time (milliseconds since the epoch; absent or null: they do not expire), and Isthmus' own
 * members isthmus_storage (endpoint, region, path_style, unsigned) and isthmus_file_token. They come from a *provider*, who is
 * asked again before they expire, or they are *static*: text that somebody else got, which cannot be renewed.
 *
 * Threading: internally locked, shareable by threads. A provider is asked by one thread at a time; others go on with
 * what is there while that is valid, else wait for the answer.
 *
 *     ist_credentials *credentials;
 *     ist_credentials_static(json, &credentials, &err);
 *     options.credentials = credentials;                // of ist_store_open, which holds a reference of its own
 *     ist_credentials_free(credentials);
 */
#ifndef ISTHMUS_SYS_CREDENTIALS_H
#define ISTHMUS_SYS_CREDENTIALS_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

IST_BEGIN_DECLS

typedef struct ist_credentials ist_credentials; /* counts its references */

/* What a provider implements. */
typedef struct ist_credentials_ops {
    /* Append new TemporaryCredentials. Asked by one thread at a time; may take as long as a network takes. */
    ist_status (*fetch)(void *self, ist_buffer *json, ist_error *err);
    /* The last reference is gone. NULL where there is nothing to do. */
    void (*free)(void *self);
} ist_credentials_ops;

/* Credentials of a provider, who is not asked before they are needed. Takes self, also when it fails.
 * Errors: IST_NO_MEMORY. */
IST_API ist_status ist_credentials_new(const ist_credentials_ops *ops, void *self, ist_credentials **out,
                                       ist_error *err);

/* Credentials that are there already. Errors: IST_BAD_INPUT (not a JSON object). */
IST_API ist_status ist_credentials_static(const char *json, ist_credentials **out, ist_error *err);

/*
 * Credentials from the options that users of delta-rs and object_store write for a location: AWS_ACCESS_KEY_ID,
 * aws_endpoint_url, azure_storage_account_key, google_service_account... (src/store/README.md lists them).
 *   uri      the location in a cloud: its service decides which options there are
 *   options  a JSON object of texts; names in any case, with or without "aws_", "azure_storage_", "azure_", "google_"
 * Keys that the options do not have come from the environment; where that has none, requests are not signed.
 * Errors: IST_BAD_INPUT (an option that the service does not have, by name; a value that cannot be), IST_UNSUPPORTED (no
 * location in a cloud), IST_IO (a key file).
 */
IST_API ist_status ist_credentials_from_options(const char *uri, const char *options, ist_credentials **out,
                                                ist_error *err);

/*
 * Append the JSON of credentials that are valid for 60 s more, or for half of their life where that is shorter. If the
 * provider fails while the present ones are still valid, these are given.
 * Errors: the provider's; IST_BAD_INPUT (its answer is not a JSON object); IST_UNAUTHENTICATED (static and expired).
 */
IST_API ist_status ist_credentials_get(ist_credentials *credentials, ist_buffer *json, ist_error *err);

/*
 * Ask the provider for new ones although the present ones should still be valid: a store calls it once when they are
 * refused. Threads that call it at the same time share one answer, and for 2 s more.
 * Errors: the provider's; IST_UNAUTHENTICATED (static).
 */
IST_API ist_status ist_credentials_refresh(ist_credentials *credentials, ist_error *err);

/* One more reference; returns credentials. Each is given back by ist_credentials_free. NULL is allowed in both. */
IST_API ist_credentials *ist_credentials_hold(ist_credentials *credentials);
IST_API void ist_credentials_free(ist_credentials *credentials);

IST_END_DECLS

#endif
