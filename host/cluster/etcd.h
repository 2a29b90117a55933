/*
 * A client of etcd v3 through its JSON gateway, on plain HTTP: requests that go to the
 * next endpoint when one fails, and one watch. Control thread only; nothing blocks.
 */
#ifndef SLU_HOST_ETCD_H
#define SLU_HOST_ETCD_H

#include <stdint.h>

#include <jansson.h>

struct event_base;
struct slu_etcd;

/* `endpoints` as the configuration has them ("http://198.18.9.100:2379"); copied. */
int slu_etcd_create(struct event_base *base, char *const *endpoints, uint32_t count, struct slu_etcd **etcd);

/* Ends everything; what was asked is not answered any more. NULL is allowed. */
void slu_etcd_destroy(struct slu_etcd *etcd);

/*
 * The answer to a call. `error` 0: `body` is etcd's, valid during the call.
 * -EREMOTEIO: etcd refused, `body` says why (key "message"). -EPROTO: what came back
 * was no answer of etcd. -EIO: no endpoint could be reached. Never called from within
 * slu_etcd_call().
 */
typedef void slu_etcd_answer(void *context, int error, const json_t *body);

/* Posts `body` (taken) to a path such as "/v3/kv/range". Each endpoint is tried once. */
void slu_etcd_call(struct slu_etcd *etcd, const char *path, json_t *body, slu_etcd_answer *done, void *context);

struct slu_etcd_watch_events {
	void *context;
	/* Each message of the stream: the member "result". Valid during the call. */
	void (*result)(void *context, const json_t *result);
	/* The stream is over, whyever; nothing follows. Start anew, from where it was. */
	void (*end)(void *context);
};

/*
 * Watches all keys that begin with `prefix` from a revision on, in place of an earlier
 * watch. The stream also ends when calls move to another endpoint.
 */
void slu_etcd_watch(
	struct slu_etcd *etcd, const char *prefix, int64_t start_revision, const struct slu_etcd_watch_events *events);

/* Index of the endpoint in use, and how often one failed. */
uint32_t slu_etcd_endpoint(const struct slu_etcd *etcd);
uint64_t slu_etcd_failures(const struct slu_etcd *etcd);

#endif
