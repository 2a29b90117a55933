/*
 * One request and its response, whatever frames carry them on either side. The
 * front (a client's connection or HTTP/2 stream) tells it of the request, the
 * back (a connection or stream to a server) of the response; the exchange
 * chooses the back, tries again where that is harmless, and answers by itself
 * when there is none.
 *
 * Body bytes are given with the buffer they lie in; who takes them holds the
 * buffer as long as it needs them. Everything given is taken; a flush then says
 * whether there may be more (0) or the giver must stop reading until it is told
 * to resume (-EAGAIN): that bounds what is queued to what one read gave.
 *
 * One worker's thread only. An exchange may end within any of its functions
 * that say so; the caller then returns without touching it.
 */
#ifndef SLU_L7_EXCHANGE_H
#define SLU_L7_EXCHANGE_H

#include "l7/http/message.h"
#include "l7/io/buffer.h"
#include "l7/proxy/worker.h"
#include "l7/upstream/group.h"

struct slu_exchange;

/* A field that the proxy adds: its value is `value`, after the list `prefix` if that is not empty. */
struct slu_http_added {
	struct slu_span name, prefix, value;
};
#define SLU_ADDED_MAX 8u

/* What the exchange asks of the client's side. None of these calls the exchange back before it returns. */
struct slu_front_ops {
	/* exchange->response is an interim (1xx but 101) or the final head; fields with `hop` are not for the client.
	 */
	void (*response)(struct slu_exchange *exchange);
	void (*body)(struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count);
	/* The response is whole; trailers may be NULL. */
	void (*end)(struct slu_exchange *exchange, const struct slu_message *trailers);
	/* Sends. 0; -EAGAIN: slu_exchange_response_resume() follows; other -errno: the client is gone. */
	int (*flush)(struct slu_exchange *exchange);
	/* The request's body may go on. */
	void (*resume)(struct slu_exchange *exchange);
	/*
	 * The exchange is over and forgotten. `broken`: the response is not whole, the client must see that (reset,
	 * cut). The last call, and the only one that may free the front or begin the next exchange.
	 */
	void (*over)(struct slu_exchange *exchange, bool broken);
};

/* What the exchange asks of the server's side; the same rules. */
struct slu_back_ops {
	void (*body)(struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count);
	void (*end)(struct slu_exchange *exchange, const struct slu_message *trailers);
	/* 0; -EAGAIN: slu_exchange_request_resume() follows. A server that is gone shows when the response is awaited.
	 */
	int (*flush)(struct slu_exchange *exchange);
	void (*resume)(struct slu_exchange *exchange);
	/* No longer wanted: forget the exchange, which does not count as the server's failure. */
	void (*cancel)(struct slu_exchange *exchange);
};

#define SLU_EXCHANGE_TRIES_MAX 4u

struct slu_exchange {
	struct slu_worker *worker;
	struct slu_running *running; /* the site with its groups; held */
	const struct slu_site_listener *listener;
	const struct slu_site_rule *rule;
	struct slu_group *group;
	const struct slu_front_ops *front_ops;
	void *front;
	const struct slu_back_ops *back_ops; /* NULL: no back */
	void *back;
	struct slu_server *tried[SLU_EXCHANGE_TRIES_MAX]; /* the last one is asked now; not held beyond `running` */
	uint32_t tries;
	struct slu_span client;                     /* address as text */
	struct slu_buffer *request_bytes;           /* held: spans of `request` */
	struct slu_http_added added[SLU_ADDED_MAX]; /* to the head that goes on: of the request, then of the response */
	uint32_t added_count;
	char cookie[192];        /* of `added` */
	struct slu_span path[2]; /* as the server is asked; one after the other */
	uint64_t hash;
	uint64_t started_us, first_byte_us;
	uint64_t request_body_bytes, response_body_bytes;
	enum slu_refusal refusal;
	bool tls;
	bool beginning;
	bool request_whole; /* its body has ended */
	bool body_given;    /* some of the body went to a back: it cannot go to another */
	bool responding;    /* the final head was given to the front */
	bool response_whole;
	bool sticky_set; /* the client has no cookie yet, or one that no longer counts */
	bool next_fresh; /* the last pooled connection was stale: not another one of them */
	struct slu_message request, response;
};

/* -- for fronts -- */

/*
 * A new exchange; the front fills `request`, `request_bytes` and `client`, and calls slu_exchange_begin(). `listener`
 * is of the site of `running`, which is held.
 */
struct slu_exchange *slu_exchange_new(struct slu_worker *worker, struct slu_running *running,
	const struct slu_site_listener *listener, const struct slu_front_ops *ops, void *front);

/*
 * The head is there. The exchange may be answered, but is not over, when this (or refuse, or fail) returns:
 * when `response_whole`, the front calls slu_exchange_response_resume().
 */
void slu_exchange_begin(struct slu_exchange *exchange);

/* A request that is no request: answers with its page. The front closes after it. */
void slu_exchange_refuse(struct slu_exchange *exchange, enum slu_refusal refusal);
/* The same for what is not its sender's grammar: 408, 503. */
void slu_exchange_fail(struct slu_exchange *exchange, unsigned status);

/* The request went wrong after it was begun: its server must not take the part for the whole. refuse or fail follows.
 */
void slu_exchange_drop_back(struct slu_exchange *exchange);

void slu_exchange_request_body(
	struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count);
void slu_exchange_request_end(struct slu_exchange *exchange, const struct slu_message *trailers);
int slu_exchange_request_flush(struct slu_exchange *exchange);
/* The front has room again. The exchange may end here. */
void slu_exchange_response_resume(struct slu_exchange *exchange);
/* The client is gone, or what it sends cannot be followed any more: cancels the back; the front is not called again. */
void slu_exchange_abort(struct slu_exchange *exchange);

/* -- for backs -- */

/* exchange->response is filled, interim or final; its spans are not used after this call. */
void slu_exchange_response(struct slu_exchange *exchange);
void slu_exchange_response_body(
	struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count);
/*
 * Sends what was given. 0; -EAGAIN: stop reading until resume(). Any other: the exchange is over and the back was
 * cancelled; touch neither.
 */
int slu_exchange_response_flush(struct slu_exchange *exchange);
/* The response is whole. The back has forgotten the exchange before (exchange->back is NULL); it ends here. */
void slu_exchange_response_end(struct slu_exchange *exchange, const struct slu_message *trailers);
/*
 * The back failed and has forgotten the exchange. `untouched`: the server cannot have seen the request (no connection,
 * nothing written). `stale`: a connection from the pool that ended before a byte of the response. `status` is
 * what the client is told when there is no other try: 502 or 504. The exchange may end here.
 */
void slu_exchange_back_failed(struct slu_exchange *exchange, unsigned status, bool untouched, bool stale);
/* The back has room again. */
void slu_exchange_request_resume(struct slu_exchange *exchange);

#endif
