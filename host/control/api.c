#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "host/config/memory.h"
#include "host/control/api_server.h"
#include "host/control/store.h"

#define HEADERS_MAX 16384
#define BODY_MAX (32 << 20) /* libevent's own limit; documents end at SLU_CONFIG_MAX_BYTES, with a better answer */
#define IDLE_S 30           /* of a connection, also while a client reads or writes too slowly */
#define BACKLOG 1024
#define UNPROCESSABLE 422
#define TOO_LARGE 413

void slu_api_server_reply(struct evhttp_request *request, int status, json_t *body)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {{200, "OK"}, {400, "Bad Request"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{409, "Conflict"}, {503, "Service Unavailable"}, {413, "Content Too Large"},
		{422, "Unprocessable Content"}, {500, "Internal Server Error"}};
	struct evbuffer *buffer = evbuffer_new();
	char *text = json_dumps(body, JSON_COMPACT);
	const char *reason = "";

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			reason = reasons[i].reason;
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
	evbuffer_add_printf(buffer, "%s\n", text != NULL ? text : "{\"error\":\"out of memory\"}");
	evhttp_send_reply(request, status, reason, buffer);
	evbuffer_free(buffer);
	free(text);
	json_decref(body);
}

void slu_api_server_refuse(struct evhttp_request *request, int status, const char *format, ...)
{
	json_t *body = json_object(), *error;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = slu_memory_vformat(format, arguments);
	va_end(arguments);
	error = json_string(text);
	json_object_set_new(body, "error", error != NULL ? error : json_string("the request is no UTF-8"));
	slu_api_server_reply(request, status, body);
	free(text);
}

/* Answers with every error of a document. */
void slu_api_server_refuse_document(struct evhttp_request *request, int status, const struct slu_errors *errors)
{
	json_t *body = json_object(), *list = json_array();

	for (size_t i = 0; i < errors->count; i++) {
		char *text = slu_errors_format(errors, i);
		json_t *error = json_object();

		json_object_set_new(error, "line", json_integer(errors->items[i].place.line));
		json_object_set_new(error, "column", json_integer(errors->items[i].place.column));
		json_object_set_new(error, "path", json_string(errors->items[i].path));
		json_object_set_new(error, "rule", json_string(errors->items[i].rule));
		json_object_set_new(error, "text", json_string(text));
		json_array_append_new(list, error);
		free(text);
	}
	json_object_set_new(body, "error",
		json_sprintf("the document is refused whole: %zu error%s", errors->count + errors->suppressed,
			errors->count == 1 ? "" : "s"));
	json_object_set_new(body, "errors", list);
	json_object_set_new(body, "suppressed", json_integer((json_int_t)errors->suppressed));
	slu_api_server_reply(request, status, body);
}

void slu_api_server_result(struct evhttp_request *request, const struct slu_control_result *result, bool dry_run)
{
	json_t *body = json_object(), *changes = json_array();

	for (size_t i = 0; i < result->change_count; i++)
		json_array_append_new(changes, json_string(result->changes[i]));
	json_object_set_new(body, "generation", json_integer((json_int_t)result->generation));
	json_object_set_new(body, "dry_run", json_boolean(dry_run));
	json_object_set_new(body, "changes", changes);
	slu_api_server_reply(request, HTTP_OK, body);
}

/* What a request is about. */
struct call {
	struct slu_api *api;
	struct evhttp_request *request;
	const char *path;
	struct evkeyvalq query;
};

/* Refuses parameters, for those who take none; returns whether there were. */
static bool refuse_parameters(struct call *call)
{
	const struct evkeyval *pair = call->query.tqh_first;

	if (pair == NULL)
		return false;
	slu_api_server_refuse(call->request, HTTP_BADREQUEST, "parameter %.32s is unknown here", pair->key);
	return true;
}

/* The body as one piece of memory; NULL after an answer was sent. */
static const char *read_body(struct call *call, size_t *bytes)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(call->request);
	const char *body;

	*bytes = evbuffer_get_length(input);
	if (*bytes > SLU_CONFIG_MAX_BYTES) {
		slu_api_server_refuse(call->request, TOO_LARGE, "the body has %zu bytes, at most %u are read", *bytes,
			SLU_CONFIG_MAX_BYTES);
		return NULL;
	}
	body = (const char *)evbuffer_pullup(input, -1);
	return body != NULL ? body : "";
}

/* Reads the only parameter of an apply. Returns false after an answer was sent. */
static bool read_dry_run(struct call *call, bool *dry_run)
{
	const struct evkeyval *pair = call->query.tqh_first;

	*dry_run = false;
	for (; pair != NULL; pair = pair->next.tqe_next) {
		bool yes = strcmp(pair->value, "1") == 0 || strcmp(pair->value, "true") == 0;
		bool no = strcmp(pair->value, "0") == 0 || strcmp(pair->value, "false") == 0;

		if (strcmp(pair->key, "dry_run") != 0 || (!yes && !no)) {
			slu_api_server_refuse(call->request, HTTP_BADREQUEST,
				"only dry_run=0 and dry_run=1 are known here, not %.32s", pair->key);
			return false;
		}
		*dry_run = yes;
	}
	return true;
}

/* A document of the whole cluster. */
static void post_cluster_config(struct call *call)
{
	const char *body;
	bool dry_run;
	size_t bytes;

	if (!read_dry_run(call, &dry_run))
		return;
	body = read_body(call, &bytes);
	if (body != NULL)
		slu_api_shared_serve(call->api, call->request, body, bytes, dry_run);
}

static void post_config(struct call *call)
{
	struct slu_control_result result;
	struct slu_errors errors;
	const char *body;
	bool dry_run;
	size_t bytes;
	int ret;

	if (!read_dry_run(call, &dry_run))
		return;
	body = read_body(call, &bytes);
	if (body == NULL)
		return;
	slu_errors_init(&errors, "document");
	ret = slu_control_apply(call->api->control, body, bytes, dry_run, &result, &errors);
	if (ret == 0)
		slu_api_server_result(call->request, &result, dry_run);
	else
		slu_api_server_refuse_document(call->request, ret == -EINVAL ? UNPROCESSABLE : HTTP_INTERNAL, &errors);
	slu_control_result_clear(&result);
	slu_errors_clear(&errors);
}

/* The weight in {"weight": 5}; false after an answer was sent. */
static bool read_weight(struct call *call, uint64_t *weight)
{
	json_error_t error;
	json_t *root, *value;
	const char *body;
	size_t bytes;

	body = read_body(call, &bytes);
	if (body == NULL)
		return false;
	root = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		slu_api_server_refuse(
			call->request, HTTP_BADREQUEST, "the body is no JSON: line %d: %s", error.line, error.text);
		return false;
	}
	value = json_object_get(root, "weight");
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_object_size(root) != 1) {
		slu_api_server_refuse(call->request, UNPROCESSABLE, "the body must be {\"weight\": N}, N 0..%u",
			SLU_CONFIG_MAX_WEIGHT);
		json_decref(root);
		return false;
	}
	*weight = (uint64_t)json_integer_value(value);
	json_decref(root);
	return true;
}

static void put_weight(struct call *call)
{
	char group[SLU_NAME_BYTES] = "", backend[SLU_NAME_BYTES] = "";
	struct slu_control_result result;
	struct slu_errors errors;
	uint64_t weight;
	int ret;

	if (refuse_parameters(call) || !read_weight(call, &weight))
		return;
	/* The router has seen the shape of the path; names that are too long name nothing. */
	sscanf(call->path, "/v1/groups/%63[^/]/backends/%63[^/]/weight", group, backend);
	slu_errors_init(&errors, "document");
	ret = slu_control_weight(call->api->control, group, backend, weight, &result, &errors);
	if (ret == 0)
		slu_api_server_result(call->request, &result, false);
	else if (ret == -ENOENT)
		slu_api_server_refuse(call->request, HTTP_NOTFOUND, "%s", errors.items[0].rule);
	else
		slu_api_server_refuse_document(call->request, ret == -EINVAL ? UNPROCESSABLE : HTTP_INTERNAL, &errors);
	slu_control_result_clear(&result);
	slu_errors_clear(&errors);
}

static void get_sessions(struct call *call)
{
	slu_api_sessions_serve(call->api, call->request, &call->query);
}

static void send_resource(struct call *call, json_t *(*make)(struct slu_api *api))
{
	json_t *body;

	if (refuse_parameters(call))
		return;
	body = make(call->api);
	if (body != NULL)
		slu_api_server_reply(call->request, HTTP_OK, body);
	else
		slu_api_server_refuse(call->request, HTTP_INTERNAL, "out of memory");
}

static void refuse_alone(struct call *call)
{
	slu_api_server_refuse(call->request, HTTP_NOTFOUND, "this node is alone: its document has no cluster");
}

static void get_cluster(struct call *call)
{
	json_t *body;

	if (refuse_parameters(call))
		return;
	body = slu_api_resources_cluster(call->api);
	if (body != NULL)
		slu_api_server_reply(call->request, HTTP_OK, body);
	else
		refuse_alone(call);
}

static void set_drain(struct call *call, bool drain)
{
	const struct slu_api_providers *providers = &call->api->providers;

	if (refuse_parameters(call))
		return;
	if (providers->drain != NULL && providers->drain(providers->ctx, drain))
		slu_api_server_reply(call->request, HTTP_OK, slu_api_resources_node(call->api));
	else
		refuse_alone(call);
}

static void post_drain(struct call *call)
{
	set_drain(call, true);
}

static void post_undrain(struct call *call)
{
	set_drain(call, false);
}

/* '*' stands for one part of a path. */
static const struct route {
	enum evhttp_cmd_type method;
	const char *path;
	json_t *(*make)(struct slu_api *api); /* of a plain resource */
	void (*serve)(struct call *call);     /* of everything else */
} routes[] = {
	{EVHTTP_REQ_GET, "/v1/listeners", slu_api_resources_listeners, NULL},
	{EVHTTP_REQ_GET, "/v1/groups", slu_api_resources_groups, NULL},
	{EVHTTP_REQ_GET, "/v1/backends", slu_api_resources_backends, NULL},
	{EVHTTP_REQ_GET, "/v1/outbound", slu_api_resources_outbound, NULL},
	{EVHTTP_REQ_GET, "/v1/metering", slu_api_resources_metering, NULL},
	{EVHTTP_REQ_GET, "/v1/card", slu_api_resources_card, NULL},
	{EVHTTP_REQ_GET, "/v1/ports", slu_api_resources_ports, NULL},
	{EVHTTP_REQ_GET, "/v1/stats", slu_api_resources_stats, NULL},
	{EVHTTP_REQ_GET, "/v1/generation", slu_api_resources_generation, NULL},
	{EVHTTP_REQ_GET, "/v1/config", slu_api_resources_config, NULL},
	{EVHTTP_REQ_GET, "/v1/cluster/config", slu_api_resources_shared, NULL},
	{EVHTTP_REQ_GET, "/v1/node", slu_api_resources_node, NULL},
	{EVHTTP_REQ_GET, "/v1/cluster", NULL, get_cluster},
	{EVHTTP_REQ_GET, "/v1/sessions", NULL, get_sessions},
	{EVHTTP_REQ_POST, "/v1/node/drain", NULL, post_drain},
	{EVHTTP_REQ_POST, "/v1/node/undrain", NULL, post_undrain},
	{EVHTTP_REQ_POST, "/v1/config", NULL, post_config},
	{EVHTTP_REQ_POST, "/v1/cluster/config", NULL, post_cluster_config},
	{EVHTTP_REQ_PUT, "/v1/groups/*/backends/*/weight", NULL, put_weight},
};

static bool matches(const char *pattern, const char *path)
{
	while (*pattern != '\0') {
		if (*pattern == '*') {
			size_t bytes = strcspn(path, "/");

			if (bytes == 0)
				return false;
			path += bytes;
			pattern++;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

static const char *method_name(enum evhttp_cmd_type method)
{
	return method == EVHTTP_REQ_GET ? "GET" : method == EVHTTP_REQ_POST ? "POST" : "PUT";
}

static void serve(struct call *call)
{
	char allowed[32] = "";

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *route = &routes[i];

		if (!matches(route->path, call->path))
			continue;
		if (route->method == evhttp_request_get_command(call->request)) {
			if (route->serve != NULL)
				route->serve(call);
			else
				send_resource(call, route->make);
			return;
		}
		snprintf(allowed + strlen(allowed), sizeof(allowed) - strlen(allowed), "%s%s", allowed[0] ? ", " : "",
			method_name(route->method));
	}
	if (allowed[0] == '\0') {
		slu_api_server_refuse(call->request, HTTP_NOTFOUND, "there is nothing at %.200s", call->path);
		return;
	}
	evhttp_add_header(evhttp_request_get_output_headers(call->request), "Allow", allowed);
	slu_api_server_refuse(call->request, HTTP_BADMETHOD, "only %s is possible here", allowed);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	struct call call = {.api = arg, .request = request};
	const char *query = evhttp_uri_get_query(uri);

	call.path = evhttp_uri_get_path(uri);
	if (call.path == NULL)
		call.path = "";
	TAILQ_INIT(&call.query);
	if (query != NULL && query[0] != '\0' && evhttp_parse_query_str(query, &call.query) != 0)
		slu_api_server_refuse(request, HTTP_BADREQUEST, "the query cannot be read");
	else
		serve(&call);
	evhttp_clear_headers(&call.query);
}

/* Socket. */

/* Whether somebody answers at a socket. */
static bool is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return false;
	served = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
	close(fd);
	return served;
}

static int make_folder_of(const char *path)
{
	char *folder = slu_memory_copy(path), *slash = strrchr(folder, '/');
	int ret = 0;

	if (slash != NULL && slash != folder) {
		*slash = '\0';
		ret = slu_store_folder(folder);
	}
	free(folder);
	return ret;
}

/* A listening socket at `path`, or -errno. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	mode_t mask;
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	ret = make_folder_of(path);
	if (ret != 0)
		return ret;
	if (is_served(&address))
		return -EADDRINUSE;
	if (lstat(path, &status) == 0) {
		if (!S_ISSOCK(status.st_mode))
			return -EEXIST;
		unlink(path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	ret = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0 ? 0
													    : -errno;
	umask(mask);
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct slu_api *api = arg;

	(void)fd, (void)what;
	evconnlistener_enable(api->listener);
}

/* Descriptors have run out: the waiting client stays ready, so going on would spin. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	const struct timeval pause = {0, 100000};
	struct slu_api *api = arg;

	(void)listener;
	evconnlistener_disable(api->listener);
	event_add(api->pause, &pause);
}

static int start_server(struct slu_api *api, int fd)
{
	api->http = evhttp_new(api->base);
	api->listener = evconnlistener_new(api->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	api->pause = evtimer_new(api->base, on_resume, api);
	if (api->http == NULL || api->listener == NULL || api->pause == NULL ||
		evhttp_bind_listener(api->http, api->listener) == NULL)
		return -ENOMEM;
	evconnlistener_set_error_cb(api->listener, on_accept_error);
	evhttp_set_max_headers_size(api->http, HEADERS_MAX);
	evhttp_set_max_body_size(api->http, BODY_MAX);
	evhttp_set_timeout(api->http, IDLE_S);
	evhttp_set_allowed_methods(api->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
						      EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS);
	evhttp_set_gencb(api->http, on_request, api);
	return 0;
}

int slu_api_create(struct event_base *base, struct slu_control *control, const struct slu_api_providers *providers,
	const char *path, struct slu_api **result)
{
	struct slu_api *api;
	int fd = listen_at(path), ret;

	*result = NULL;
	if (fd < 0)
		return fd;
	/* libevent writes without MSG_NOSIGNAL, and a client that goes away must not end the agent. */
	signal(SIGPIPE, SIG_IGN);
	api = slu_memory_zeroed(1, sizeof(*api));
	api->base = base;
	api->control = control;
	api->providers = *providers;
	api->path = slu_memory_copy(path);
	ret = start_server(api, fd);
	if (ret != 0) {
		slu_api_destroy(api);
		return ret;
	}
	*result = api;
	return 0;
}

void slu_api_destroy(struct slu_api *api)
{
	if (api == NULL)
		return;
	if (api->http != NULL)
		evhttp_free(api->http); /* with its listener and connections; walks end by their close callback */
	if (api->pause != NULL)
		event_free(api->pause);
	unlink(api->path);
	free(api->path);
	free(api);
}
