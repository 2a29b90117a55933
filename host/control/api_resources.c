#include <netinet/in.h>
#include <stdlib.h>

#include "host/config/schema.h"
#include "host/control/api_out.h"
#include "host/control/api_server.h"
#include "host/control/ip.h"

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_ip(json_t *object, const char *key, const struct slu_ip *ip)
{
	char text[SLU_IP_TEXT_BYTES];

	set_text(object, key, slu_ip_format(ip, text));
}

static void set_live(json_t *object, const struct slu_api_live *live)
{
	set_number(object, "sessions", live->sessions);
	set_number(object, "sessions_total", live->sessions_total);
	set_number(object, "request_packets", live->request_packets);
	set_number(object, "request_bytes", live->request_bytes);
	set_number(object, "reply_packets", live->reply_packets);
	set_number(object, "reply_bytes", live->reply_bytes);
}

static json_t *wrap(const char *key, json_t *list)
{
	json_t *object = json_object();

	json_object_set_new(object, key, list);
	return object;
}

static json_t *listener_object(struct slu_api *api, const struct slu_listener *listener, const char *group)
{
	json_t *object = json_object(), *offload = json_object();
	struct slu_api_live live = {0};

	set_text(object, "name", listener->name);
	set_number(object, "id", listener->id);
	set_number(object, "vpc", listener->vpc);
	set_ip(object, "address", &listener->address);
	set_text(object, "protocol", listener->protocol == IPPROTO_TCP ? "tcp" : "udp");
	set_number(object, "port_first", listener->port_first);
	set_number(object, "port_last", listener->port_last);
	set_text(object, "mode", slu_schema_modes[listener->mode]);
	set_text(object, "client_address", slu_schema_client_addresses[listener->client_address]);
	set_text(object, "group", group);
	json_object_set_new(offload, "enabled", json_boolean(listener->offload));
	set_number(offload, "threshold_packets", listener->offload_threshold_packets);
	json_object_set_new(object, "offload", offload);
	if (listener->max_sessions != 0)
		set_number(object, "max_sessions", listener->max_sessions);
	if (api->providers.listener_live != NULL)
		api->providers.listener_live(api->providers.ctx, listener->id, listener->live, &live);
	set_live(object, &live);
	return object;
}

json_t *slu_api_resources_listeners(struct slu_api *api)
{
	const struct slu_generation *generation = slu_control_generation(api->control);
	json_t *list = json_array();

	for (uint32_t i = 0; i < generation->listener_count; i++) {
		const struct slu_listener *listener = &generation->listeners[i];

		json_array_append_new(list, listener_object(api, listener, generation->groups[listener->group]->name));
	}
	return wrap("listeners", list);
}

json_t *slu_api_resources_groups(struct slu_api *api)
{
	const struct slu_generation *generation = slu_control_generation(api->control);
	const struct slu_config *config = slu_control_config(api->control);
	json_t *list = json_array();

	for (uint32_t i = 0; i < generation->group_count; i++) {
		const struct slu_group *group = generation->groups[i];
		json_t *object = json_object();
		uint32_t serving = 0;

		for (uint32_t j = 0; j < group->backend_count; j++)
			serving += group->backends[j].weight > 0;
		set_text(object, "name", group->name);
		set_number(object, "id", group->id);
		set_text(object, "scheduler", slu_schema_schedulers[group->scheduler]);
		set_text(object, "check", slu_schema_checks[config->groups[i].check.type]);
		set_number(object, "backends", group->backend_count);
		set_number(object, "serving", serving);
		set_number(object, "weight_sum", group->weight_sum);
		json_array_append_new(list, object);
	}
	return wrap("groups", list);
}

static json_t *backend_object(struct slu_api *api, const struct slu_group *group, const struct slu_backend *backend)
{
	struct slu_health_status status = {.reason = ""};
	struct slu_api_live live = {0};
	json_t *object = json_object();

	slu_control_health(api->control, backend->id, &status);
	set_text(object, "group", group->name);
	set_text(object, "name", backend->name);
	set_number(object, "id", backend->id);
	set_ip(object, "address", &backend->address);
	set_number(object, "port", backend->port);
	set_number(object, "weight", backend->configured);
	set_number(object, "effective_weight", backend->weight);
	set_text(object, "health", slu_health_state_name(status.state));
	set_text(object, "reason", status.reason);
	set_number(object, "checks", status.checks);
	set_number(object, "check_failures", status.failures);
	set_number(object, "changed_ms", status.changed_ms);
	if (api->providers.backend_live != NULL)
		api->providers.backend_live(api->providers.ctx, backend->id, backend->live, &live);
	set_live(object, &live);
	return object;
}

json_t *slu_api_resources_backends(struct slu_api *api)
{
	const struct slu_generation *generation = slu_control_generation(api->control);
	json_t *list = json_array();

	for (uint32_t i = 0; i < generation->group_count; i++) {
		const struct slu_group *group = generation->groups[i];

		for (uint32_t j = 0; j < group->backend_count; j++)
			json_array_append_new(list, backend_object(api, group, &group->backends[j]));
	}
	return wrap("backends", list);
}

static json_t *provided(struct slu_api *api, void (*provider)(void *ctx, struct slu_api_out *out), json_t *root)
{
	struct slu_api_out out;

	slu_api_out_begin(&out, root);
	if (provider != NULL)
		provider(api->providers.ctx, &out);
	return root;
}

/* In a cluster: whose home prefix an address is in, and who announces that now; null: nobody. */
static void set_owner(struct slu_api *api, json_t *object, const struct slu_ip *ip)
{
	uint8_t home = 0, owner = 0;

	if (api->providers.address_owner == NULL ||
		!api->providers.address_owner(api->providers.ctx, ip, &home, &owner))
		return;
	json_object_set_new(object, "home", home ? json_integer(home) : json_null());
	json_object_set_new(object, "owner", owner ? json_integer(owner) : json_null());
}

static json_t *outbound_object(struct slu_api *api, const struct slu_outbound *outbound)
{
	const struct slu_listener *service = &outbound->service;
	json_t *object = json_object(), *addresses = json_array(), *offload = json_object();
	struct slu_api_live live = {0};

	set_text(object, "name", service->name);
	set_number(object, "id", service->id);
	set_text(object, "mode", slu_schema_modes[service->mode]);
	set_number(object, "vpc", service->vpc);
	for (unsigned int family = 0; family < 2; family++)
		for (uint32_t i = 0; i < outbound->address_count[family]; i++) {
			json_t *address = json_object();

			set_ip(address, "address", &outbound->addresses[family][i]);
			json_object_set_new(address, "own", json_boolean(i < outbound->own_count[family]));
			set_owner(api, address, &outbound->addresses[family][i]);
			json_array_append_new(addresses, address);
		}
	json_object_set_new(object, "addresses", addresses);
	json_object_set_new(offload, "enabled", json_boolean(service->offload));
	set_number(offload, "threshold_packets", service->offload_threshold_packets);
	json_object_set_new(object, "offload", offload);
	if (api->providers.listener_live != NULL)
		api->providers.listener_live(api->providers.ctx, service->id, service->live, &live);
	set_live(object, &live);
	return object;
}

json_t *slu_api_resources_outbound(struct slu_api *api)
{
	const struct slu_generation *generation = slu_control_generation(api->control);
	json_t *list = json_array();

	for (uint32_t i = 0; i < generation->outbound_count; i++)
		json_array_append_new(list, outbound_object(api, &generation->outbound[i]));
	return wrap("outbound", list);
}

json_t *slu_api_resources_metering(struct slu_api *api)
{
	json_t *object = wrap("metering", provided(api, api->providers.metering, json_array()));

	set_text(object, "node", slu_control_config(api->control)->node);
	return object;
}

json_t *slu_api_resources_card(struct slu_api *api)
{
	return provided(api, api->providers.card, json_object());
}

json_t *slu_api_resources_ports(struct slu_api *api)
{
	return wrap("ports", provided(api, api->providers.ports, json_array()));
}

json_t *slu_api_resources_stats(struct slu_api *api)
{
	return provided(api, api->providers.stats, json_object());
}

json_t *slu_api_resources_node(struct slu_api *api)
{
	json_t *object = json_object();

	set_text(object, "node", slu_control_config(api->control)->node);
	set_number(object, "generation", slu_control_generation(api->control)->number);
	return provided(api, api->providers.node, object);
}

json_t *slu_api_resources_cluster(struct slu_api *api)
{
	json_t *object = json_object();
	struct slu_api_out out;

	slu_api_out_begin(&out, object);
	if (api->providers.cluster != NULL && api->providers.cluster(api->providers.ctx, &out))
		return object;
	json_decref(object);
	return NULL;
}

json_t *slu_api_resources_generation(struct slu_api *api)
{
	const struct slu_generation *generation = slu_control_generation(api->control);
	struct slu_control_status status;
	json_t *object = json_object(), *changes = json_array();

	slu_control_status(api->control, &status);
	set_number(object, "generation", status.generation);
	set_text(object, "node", slu_control_config(api->control)->node);
	set_number(object, "applied_ms", status.applied_ms);
	set_number(object, "published_ms", status.published_ms);
	set_number(object, "listeners", generation->listener_count);
	set_number(object, "groups", generation->group_count);
	set_number(object, "backends", generation->backend_count);
	set_number(object, "local_addresses", generation->local_count);
	set_number(object, "tombstones", status.tombstones);
	for (size_t i = 0; i < status.change_count; i++)
		json_array_append_new(changes, json_string(status.changes[i]));
	json_object_set_new(object, "changes", changes);
	return object;
}

/* Takes `text`. */
static json_t *document_of(char *text)
{
	json_t *document = text != NULL ? json_loads(text, 0, NULL) : NULL;

	free(text);
	return document;
}

json_t *slu_api_resources_config(struct slu_api *api)
{
	return document_of(slu_config_dump(slu_control_config(api->control)));
}

json_t *slu_api_resources_shared(struct slu_api *api)
{
	return document_of(slu_config_dump_shared(slu_control_config(api->control)));
}
