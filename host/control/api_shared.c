#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "host/config/memory.h"
#include "host/control/api_server.h"

#define UNPROCESSABLE 422
#define CONFLICT 409

/* A request that waits for etcd. */
struct pending {
	struct evhttp_request *request; /* NULL: the client has gone */
	struct slu_control_result result;
};

static void pending_free(struct pending *pending)
{
	slu_control_result_clear(&pending->result);
	free(pending);
}

/* As of a walk of sessions: a request that libevent parted from its connection is ours. */
static void on_closed(struct evhttp_connection *connection, void *arg)
{
	struct pending *pending = arg;

	(void)connection;
	if (evhttp_request_get_connection(pending->request) == NULL)
		evhttp_request_free(pending->request);
	pending->request = NULL;
}

static void refuse(struct evhttp_request *request, int error, uint64_t number, const char *message)
{
	if (error == -EEXIST)
		slu_api_server_refuse(request, CONFLICT,
			"another apply came first: generation %llu stands now, look at it and apply again",
			(unsigned long long)number);
	else if (error == -EIO)
		slu_api_server_refuse(request, HTTP_SERVUNAVAIL,
			"etcd cannot be reached, or its answer was lost: look which generation stands");
	else
		slu_api_server_refuse(request, HTTP_INTERNAL, "etcd: %s", message != NULL ? message : strerror(-error));
}

static void on_written(void *arg, int error, uint64_t number, const char *message)
{
	struct pending *pending = arg;

	if (pending->request != NULL) {
		evhttp_connection_set_closecb(evhttp_request_get_connection(pending->request), NULL, NULL);
		pending->result.generation = number;
		if (error == 0)
			slu_api_server_result(pending->request, &pending->result, false);
		else
			refuse(pending->request, error, number, message);
	}
	pending_free(pending);
}

/* Begins to write a document that is good here; takes `result`. */
static void write_shared(struct slu_api *api, struct evhttp_request *request, const char *body, size_t bytes,
	struct slu_control_result *result)
{
	struct pending *pending = slu_memory_zeroed(1, sizeof(*pending));
	struct slu_config *config;
	struct slu_errors errors;
	int ret = -ENOTSUP;

	*pending = (struct pending){.request = request, .result = *result};
	slu_errors_init(&errors, "document");
	if (slu_config_parse_shared(slu_control_config(api->control), body, bytes, &config, &errors) == 0 &&
		api->providers.write_shared != NULL)
		ret = api->providers.write_shared(api->providers.ctx, config, on_written, pending);
	slu_config_free(config);
	slu_errors_clear(&errors);
	if (ret == 0) {
		evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, pending);
		return;
	}
	slu_api_server_refuse(request, UNPROCESSABLE,
		ret == -E2BIG ? "the document has more parts than one generation lists"
			      : "this node's configuration does not come from etcd");
	pending_free(pending);
}

void slu_api_shared_serve(
	struct slu_api *api, struct evhttp_request *request, const char *body, size_t bytes, bool dry_run)
{
	struct slu_control_result result;
	struct slu_errors errors;
	int ret;

	slu_errors_init(&errors, "document");
	ret = slu_control_apply_shared(api->control, body, bytes, true, &result, &errors);
	if (ret != 0) {
		slu_api_server_refuse_document(request, ret == -EINVAL ? UNPROCESSABLE : HTTP_INTERNAL, &errors);
	} else if (dry_run) {
		slu_api_server_result(request, &result, true);
		slu_control_result_clear(&result);
	} else {
		write_shared(api, request, body, bytes, &result);
	}
	slu_errors_clear(&errors);
}
