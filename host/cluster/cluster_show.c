#include <inttypes.h>
#include <stdio.h>

#include "host/clock.h"
#include "host/cluster/cluster_state.h"
#include "host/control/api.h"
#include "host/control/ip.h"

static void show_prefix(struct slu_api_out *out, const char *name, const struct slu_ip *ip, uint8_t bits)
{
	char address[SLU_IP_TEXT_BYTES], text[SLU_IP_TEXT_BYTES + 4];

	snprintf(text, sizeof(text), "%s/%u", slu_ip_format(ip, address), bits);
	slu_api_out_text(out, name, text);
}

static void show_status(struct slu_api_out *out, const struct slu_node_status *status)
{
	char hash[17];

	snprintf(hash, sizeof(hash), "%016" PRIx64, status->hash);
	slu_api_out_bool(out, "joined", status->joined);
	slu_api_out_bool(out, "announces", status->announces);
	slu_api_out_bool(out, "drained", status->drained);
	slu_api_out_number(out, "generation", status->generation);
	slu_api_out_text(out, "config_hash", hash);
	slu_api_out_number(out, "sessions", status->sessions);
}

static const struct slu_sync_peer_state *find_state(const struct slu_sync_state *state, uint8_t id)
{
	static const struct slu_sync_peer_state none;

	for (uint32_t i = 0; i < state->peer_count; i++)
		if (state->peers[i].id == id)
			return &state->peers[i];
	return &none;
}

static void show_peer(struct slu_api_out *out, const struct slu_sync_peer_state *state)
{
	slu_api_out_number(out, "epoch", state->epoch);
	slu_api_out_number(out, "revision", state->revision);
	slu_api_out_number(out, "speaks", state->speaks);
	slu_api_out_number(out, "lag_ms", state->lag_ms);
	slu_api_out_number(out, "datagrams", state->datagrams);
	slu_api_out_number(out, "records", state->records);
	slu_api_out_number(out, "lost", state->lost);
	slu_api_out_number(out, "reordered", state->reordered);
	slu_api_out_number(out, "duplicate", state->duplicate);
	slu_api_out_number(out, "rejected", state->rejected);
}

static void show_member(
	struct slu_api_out *out, const struct slu_cluster *cluster, uint32_t index, const struct slu_sync_state *state)
{
	const struct slu_member *member = &cluster->members.list[index];
	const struct slu_cluster_peer *peer = &cluster->peers[index];
	bool self = member->id == cluster->members.self;
	char address[SLU_IP_TEXT_BYTES];

	slu_api_out_open_object(out, NULL);
	slu_api_out_number(out, "id", member->id);
	slu_api_out_text(out, "name", member->name);
	slu_api_out_text(out, "address", slu_ip_format(&member->address, address));
	slu_api_out_bool(out, "self", self);
	slu_api_out_bool(out, "alive", member->alive);
	if (self || (member->alive && peer->told))
		show_status(out, self ? &cluster->status : &peer->status);
	if (self) {
		slu_api_out_number(out, "revision", state->revision);
		slu_api_out_number(out, "speaks", state->speaks);
	} else {
		show_peer(out, find_state(state, member->id));
	}
	slu_api_out_open_list(out, "local_prefixes");
	for (uint32_t i = 0; i < member->prefix_count; i++)
		show_prefix(out, NULL, &member->prefix[i].ip, member->prefix[i].bits);
	slu_api_out_close(out);
	slu_api_out_close(out);
}

static void show_view(struct slu_api_out *out, const struct slu_cluster_view *view)
{
	slu_api_out_number(out, "nat_owner", view->nat_owner);
	slu_api_out_open_list(out, "prefixes");
	for (uint32_t i = 0; i < view->prefix_count; i++) {
		slu_api_out_open_object(out, NULL);
		show_prefix(out, "prefix", &view->prefix[i].address, view->prefix[i].bits);
		slu_api_out_number(out, "home", view->prefix[i].home);
		slu_api_out_number(out, "owner", view->prefix[i].owner);
		slu_api_out_close(out);
	}
	slu_api_out_close(out);
}

static void show_routes(struct slu_api_out *out, const struct slu_cluster *cluster)
{
	struct slu_routes_state state;

	slu_routes_state(cluster->routes, &state);
	slu_api_out_open_object(out, "routes");
	slu_api_out_number(out, "table", cluster->config->route_table);
	slu_api_out_bool(out, "announces", state.announces);
	slu_api_out_number(out, "vips", state.vips);
	slu_api_out_number(out, "own", state.own);
	slu_api_out_number(out, "backup", state.backup);
	slu_api_out_number(out, "gateways", state.gateways);
	slu_api_out_number(out, "added", state.added);
	slu_api_out_number(out, "removed", state.removed);
	slu_api_out_number(out, "errors", state.errors);
	slu_api_out_close(out);
}

static void show_sync(struct slu_api_out *out, const struct slu_cluster *cluster, const struct slu_sync_state *state)
{
	slu_api_out_open_object(out, "sync");
	slu_api_out_number(out, "epoch", cluster->epoch);
	slu_api_out_number(out, "revision", state->speaks);
	slu_api_out_number(out, "revision_max", state->revision);
	slu_api_out_number(out, "newer", state->newer);
	slu_api_out_bool(out, "authenticated", cluster->key_bytes > 0);
	slu_api_out_bool(out, "extensions", cluster->config->extensions);
	slu_api_out_number(out, "sent_datagrams", state->sent_datagrams);
	slu_api_out_number(out, "sent_records", state->sent_records);
	slu_api_out_number(out, "send_errors", state->send_errors);
	slu_api_out_number(out, "received_datagrams", state->received_datagrams);
	slu_api_out_number(out, "received_records", state->received_records);
	slu_api_out_number(out, "inbox_full", state->inbox_full);
	slu_api_out_number(out, "bad_size", state->bad_size);
	slu_api_out_number(out, "bad_group", state->bad_group);
	slu_api_out_number(out, "bad_version", state->bad_version);
	slu_api_out_number(out, "bad_record", state->bad_record);
	slu_api_out_number(out, "bad_parameter", state->bad_parameter);
	slu_api_out_number(out, "bad_authentication", state->bad_authentication);
	slu_api_out_number(out, "replayed", state->replayed);
	slu_api_out_number(out, "joins_served", state->joins_served);
	slu_api_out_number(out, "joins_done", state->joins_done);
	slu_api_out_close(out);
}

static void show_shared(struct slu_api_out *out, const struct slu_cluster *cluster)
{
	struct slu_shared_state state;

	slu_shared_state(cluster->shared, &state);
	slu_api_out_open_object(out, "etcd");
	slu_api_out_text(out, "endpoint", state.endpoint);
	slu_api_out_bool(out, "watching", state.watching);
	slu_api_out_bool(out, "registered", state.registered);
	slu_api_out_number(out, "generation", state.number);
	slu_api_out_number(out, "applied", state.applied);
	slu_api_out_number(out, "missing_parts", state.missing);
	slu_api_out_number(out, "listings", state.listings);
	slu_api_out_number(out, "compacted", state.compacted);
	slu_api_out_number(out, "failures", state.failures);
	slu_api_out_number(out, "malformed", state.malformed);
	slu_api_out_close(out);
}

void slu_cluster_show(const struct slu_cluster *cluster, struct slu_api_out *object)
{
	struct slu_sync_state state = {0};

	if (cluster->sync)
		slu_sync_state(cluster->sync, &state);
	slu_api_out_number(object, "id", cluster->members.self);
	slu_api_out_number(object, "group", cluster->config->group);
	slu_api_out_text(object, "interface", cluster->config->interface);
	slu_api_out_bool(object, "joined", cluster->joined);
	slu_api_out_number(object, "joined_sessions", cluster->joined_sessions);
	slu_api_out_number(object, "joined_ms", cluster->joined_ms);
	slu_api_out_open_list(object, "members");
	for (uint32_t i = 0; i < cluster->members.count; i++)
		show_member(object, cluster, i, &state);
	slu_api_out_close(object);
	show_view(object, cluster->view);
	show_routes(object, cluster);
	show_sync(object, cluster, &state);
	if (cluster->shared)
		show_shared(object, cluster);
}

void slu_cluster_show_node(const struct slu_cluster *cluster, struct slu_api_out *object)
{
	struct slu_routes_state routes;

	slu_routes_state(cluster->routes, &routes);
	slu_api_out_number(object, "id", cluster->members.self);
	slu_api_out_bool(object, "joined", cluster->joined);
	slu_api_out_bool(object, "drained", cluster->drained);
	slu_api_out_bool(object, "announces", routes.announces);
	slu_api_out_bool(object, "owns", cluster->status.announces);
	if (!cluster->drained)
		return;
	slu_api_out_number(object, "drained_ms", (slu_clock_us() - cluster->drained_us) / 1000);
	slu_api_out_bool(object, "busy_known", cluster->busy.known);
	slu_api_out_number(object, "busy_sessions", cluster->busy.last);
}

void slu_cluster_address(const struct slu_cluster *cluster, const struct slu_ip *ip, uint8_t *home, uint8_t *owner)
{
	const struct slu_cluster_prefix *prefix = slu_cluster_view_find(cluster->view, ip);

	*home = prefix ? prefix->home : 0;
	*owner = prefix ? prefix->owner : 0;
}
