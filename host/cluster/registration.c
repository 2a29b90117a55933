#include "host/cluster/registration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "host/cluster/etcd_value.h"
#include "host/config/memory.h"
#include "host/log.h"

#define BEATS 3 /* in the life of a lease */

struct slu_registration {
	struct slu_registration_settings settings;
	char *key, *text;
	struct event *beat;
	int64_t lease; /* 0: none */
	bool stands;   /* the key is there, with this lease */
	bool busy;     /* a call is under way */
};

static void step(struct slu_registration *registration);

/* The lease is gone, or nobody knows: from the beginning, with the next beat. */
static void lose(struct slu_registration *registration, const char *why)
{
	if (registration->stands)
		slu_warning("etcd: the registration of this node is lost (%s); it is made anew", why);
	registration->lease = 0;
	registration->stands = false;
}

static const char *why(int error, const json_t *body)
{
	const char *message = json_string_value(json_object_get(body, "message"));

	return message ? message : strerror(-error);
}

static void on_granted(void *context, int error, const json_t *body)
{
	struct slu_registration *registration = context;
	int64_t lease = 0;

	registration->busy = false;
	if (error || !slu_etcd_value_read_number(json_object_get(body, "ID"), &lease) || lease == 0)
		return;
	registration->lease = lease;
	step(registration);
}

static void on_put(void *context, int error, const json_t *body)
{
	struct slu_registration *registration = context;
	const json_t *header = json_object_get(body, "header");
	int64_t revision = 0;

	registration->busy = false;
	if (error == -EREMOTEIO) {
		lose(registration, why(error, body));
		return;
	}
	if (error || !slu_etcd_value_read_number(json_object_get(header, "revision"), &revision) || revision < 1)
		return;
	registration->stands = true;
	registration->settings.registered(registration->settings.context, (uint64_t)revision);
}

/* A lease that has ended answers with no time to live. */
static void on_kept(void *context, int error, const json_t *body)
{
	struct slu_registration *registration = context;
	const json_t *result = json_object_get(body, "result");
	int64_t ttl = 0;

	registration->busy = false;
	if (error == -EIO || error == -EPROTO)
		return; /* it may live for some time yet */
	if (error || !slu_etcd_value_read_number(json_object_get(result, "TTL"), &ttl) || ttl < 1) {
		lose(registration, "the lease has ended");
		step(registration);
	}
}

/* Whatever comes next: lease, key, or a sign of life. */
static void step(struct slu_registration *registration)
{
	const struct slu_registration_settings *settings = &registration->settings;

	if (registration->busy)
		return;
	registration->busy = true;
	if (registration->lease == 0)
		slu_etcd_call(settings->etcd, "/v3/lease/grant",
			json_pack("{s:o}", "TTL", slu_etcd_value_number(settings->ttl_s)), on_granted, registration);
	else if (!registration->stands)
		slu_etcd_call(settings->etcd, "/v3/kv/put",
			json_pack("{s:o,s:o,s:o}", "key", slu_etcd_value_text(registration->key), "value",
				slu_etcd_value_text(registration->text), "lease",
				slu_etcd_value_number(registration->lease)),
			on_put, registration);
	else
		slu_etcd_call(settings->etcd, "/v3/lease/keepalive",
			json_pack("{s:o}", "ID", slu_etcd_value_number(registration->lease)), on_kept, registration);
}

static void on_beat(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	step(context);
}

int slu_registration_create(const struct slu_registration_settings *settings, struct slu_registration **result)
{
	struct slu_registration *registration = slu_memory_zeroed(1, sizeof(*registration));
	const struct timeval period = {
		.tv_sec = settings->ttl_s / BEATS, .tv_usec = settings->ttl_s % BEATS * (1000000 / BEATS)};

	registration->settings = *settings;
	registration->key = slu_memory_copy(settings->key);
	registration->text = slu_memory_copy(settings->text);
	registration->beat = event_new(settings->base, -1, EV_PERSIST, on_beat, registration);
	*result = registration;
	if (!registration->beat)
		return -ENOMEM;
	event_add(registration->beat, &period);
	step(registration);
	return 0;
}

void slu_registration_destroy(struct slu_registration *registration)
{
	if (!registration)
		return;
	if (registration->beat)
		event_free(registration->beat);
	free(registration->key);
	free(registration->text);
	free(registration);
}

void slu_registration_renew(struct slu_registration *registration)
{
	registration->stands = false;
	step(registration);
}

bool slu_registration_stands(const struct slu_registration *registration)
{
	return registration->stands;
}
