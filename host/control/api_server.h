/*
 * Inside of the API: what its parts know of each other.
 */
#ifndef SLU_HOST_API_SERVER_H
#define SLU_HOST_API_SERVER_H

#include <event2/http.h>
#include <jansson.h>

#include "host/control/api.h"

struct evkeyvalq;

struct slu_api {
	struct event_base *base;
	struct evhttp *http;
	struct slu_control *control;
	struct slu_api_providers providers;
	struct event *pause; /* of accepting, when descriptors have run out */
	struct evconnlistener *listener;
	char *path;
};

/* Sends `body` (taken) and ends the request. */
void slu_api_server_reply(struct evhttp_request *request, int status, json_t *body);

/* Sends {"error": ...} and ends the request. */
void slu_api_server_refuse(struct evhttp_request *request, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* GET of everything but sessions; returns a new value. api_resources.c */
json_t *slu_api_resources_listeners(struct slu_api *api);
json_t *slu_api_resources_groups(struct slu_api *api);
json_t *slu_api_resources_backends(struct slu_api *api);
json_t *slu_api_resources_outbound(struct slu_api *api);
json_t *slu_api_resources_metering(struct slu_api *api);
json_t *slu_api_resources_card(struct slu_api *api);
json_t *slu_api_resources_ports(struct slu_api *api);
json_t *slu_api_resources_stats(struct slu_api *api);
json_t *slu_api_resources_generation(struct slu_api *api);
json_t *slu_api_resources_config(struct slu_api *api);
json_t *slu_api_resources_shared(struct slu_api *api); /* what of it a cluster shares */
json_t *slu_api_resources_node(struct slu_api *api);
json_t *slu_api_resources_cluster(struct slu_api *api); /* NULL if this node is alone */

/* Sends every error of a document, or what an apply did. api.c */
void slu_api_server_refuse_document(struct evhttp_request *request, int status, const struct slu_errors *errors);
void slu_api_server_result(struct evhttp_request *request, const struct slu_control_result *result, bool dry_run);

/* Answers POST /v1/cluster/config when etcd has. api_shared.c */
void slu_api_shared_serve(
	struct slu_api *api, struct evhttp_request *request, const char *body, size_t bytes, bool dry_run);

/* Answers GET /v1/sessions in slices, over as many turns of the loop as it takes. api_sessions.c */
void slu_api_sessions_serve(struct slu_api *api, struct evhttp_request *request, const struct evkeyvalq *query);

#endif
