/*
 * The agent's administrative API: HTTP/1.1 and JSON on a UNIX socket
 * (docs/api.md). It runs on the control thread and never touches a worker:
 * what it shows of the data path comes through the providers below, which the
 * agent fills in.
 */
#ifndef SLU_HOST_API_H
#define SLU_HOST_API_H

#include "host/control/control.h"

/*
 * A JSON object or list under construction. In an object every value has a
 * name, and the last value of a name wins; in a list the name is NULL.
 */
struct slu_api_out;
void slu_api_out_number(struct slu_api_out *out, const char *name, uint64_t value);
void slu_api_out_real(struct slu_api_out *out, const char *name, double value);
void slu_api_out_text(struct slu_api_out *out, const char *name, const char *value); /* NULL: null */
void slu_api_out_bool(struct slu_api_out *out, const char *name, bool value);
/* What follows goes into the new object or list, until the matching close. */
void slu_api_out_open_object(struct slu_api_out *out, const char *name);
void slu_api_out_open_list(struct slu_api_out *out, const char *name);
void slu_api_out_close(struct slu_api_out *out);

/* One direction of a session. Counts are the sum of card and software. */
struct slu_api_direction {
	bool card; /* the card forwards it now; else software does */
	uint64_t packets, bytes;
};

struct slu_api_session {
	uint32_t listener_id, backend_id; /* stable ids; the API knows the names */
	uint32_t vpc;
	uint8_t protocol;
	enum slu_mode mode;
	struct slu_ip client, vip, local, backend;                /* local.family 0: none (NAT) */
	uint16_t client_port, vip_port, local_port, backend_port; /* host order */
	const char *state;                                        /* IPVS name, "ESTABLISHED" */
	uint32_t worker;
	uint32_t age_s, idle_s, expires_s;
	uint8_t node; /* of the cluster, that owns it; 0: there is no cluster, or nobody is known */
	bool passive; /* another node owns it; this one forwards what it receives */
	struct slu_api_direction request, reply; /* client to backend, backend to client */
};

/* Live counters of one backend or listener. */
struct slu_api_live {
	uint64_t sessions;       /* now */
	uint64_t sessions_total; /* ever */
	uint64_t request_packets, request_bytes, reply_packets, reply_bytes;
};

/* Returns false to stop the walk behind this session. */
typedef bool slu_api_session_fn(void *arg, const struct slu_api_session *session);

/*
 * How writing for the whole cluster ended. `error` 0: generation `number` stands;
 * -EEXIST: another one, `number`, came first; else `message` or the error says why.
 */
typedef void slu_api_written_fn(void *arg, int error, uint64_t number, const char *message);

/* A NULL member leaves its part out: empty list, empty object, zeros. */
struct slu_api_providers {
	void *ctx;

	/*
	 * Calls `fn` for sessions from *cursor on and moves *cursor behind the
	 * last one shown; 0 starts. Looks at no more than `budget` entries of
	 * the table (empty ones count), so that a call takes well under a
	 * millisecond with a budget of 4096. Sessions that live as long as the
	 * walk are shown exactly once; others at most once.
	 *
	 * Returns true if there may be more, false at the end of the table.
	 */
	bool (*sessions)(void *ctx, uint64_t *cursor, uint32_t budget, slu_api_session_fn *fn, void *arg);

	/* By stable id and live index. */
	void (*backend_live)(void *ctx, uint32_t id, uint32_t live, struct slu_api_live *value);
	void (*listener_live)(void *ctx, uint32_t id, uint32_t live, struct slu_api_live *value);

	/* One object for each listener and outbound service, removed ones too: what was metered of it. */
	void (*metering)(void *ctx, struct slu_api_out *list);

	/* Fields of the offloading device: name, table size and use, offloaded, refused, errors ... */
	void (*card)(void *ctx, struct slu_api_out *object);
	/* One object a port: name, device, link, driver, MAC, counters, xstats. */
	void (*ports)(void *ctx, struct slu_api_out *list);
	/* This node: its name, and its place in the cluster if it has one. */
	void (*node)(void *ctx, struct slu_api_out *object);
	/* The cluster's members and who owns what. Returns false if this node is alone. */
	bool (*cluster)(void *ctx, struct slu_api_out *object);
	/* The members that an address is at home at and announced by, 0: nobody. Returns false if this node is alone.
	 */
	bool (*address_owner)(void *ctx, const struct slu_ip *ip, uint8_t *home, uint8_t *owner);
	/*
	 * Writes what a cluster shares of a configuration for the whole of it. Returns 0,
	 * and calls `done` later; -ENOTSUP where they stand in the node's document; -E2BIG.
	 */
	int (*write_shared)(void *ctx, const struct slu_config *config, slu_api_written_fn *done, void *arg);
	/* Takes this node out of the cluster's traffic and back. Returns false if it is alone. */
	bool (*drain)(void *ctx, bool drain);
	/* Every counter by name, grouped in objects ("drops", "workers" ...). */
	void (*stats)(void *ctx, struct slu_api_out *object);
};

struct slu_api;

/*
 * Listens on the UNIX socket `path` (mode 0600; its folder is made if missing;
 * a socket that nobody serves is replaced). `control` and whatever providers
 * point to outlive the API. SIGPIPE of the process is ignored from here on.
 *
 * Returns 0; -EADDRINUSE if somebody serves that socket; other -errno.
 */
int slu_api_create(struct event_base *base, struct slu_control *control, const struct slu_api_providers *providers,
	const char *path, struct slu_api **api);

/* Ends every request, removes the socket. NULL is allowed. */
void slu_api_destroy(struct slu_api *api);

#endif
