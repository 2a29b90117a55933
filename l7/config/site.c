#include <stdlib.h>

#include "l7/config/site.h"

static void rule_free(struct slu_site_rule *rule)
{
	for (uint32_t i = 0; i < rule->method_count; i++)
		free(rule->methods[i]);
	for (uint32_t i = 0; i < rule->condition_count; i++) {
		free(rule->conditions[i].name);
		free(rule->conditions[i].value);
	}
	free(rule->methods);
	free(rule->conditions);
	free(rule->sources);
	free(rule->host);
	free(rule->path);
	free(rule->to_scheme);
	free(rule->to_host);
	free(rule->to_path);
	free(rule->content_type);
	free(rule->body);
	free(rule->rewrite);
	free(rule->group_name);
}

static void listener_free(struct slu_site_listener *listener)
{
	for (uint32_t i = 0; i < listener->rule_count; i++)
		rule_free(&listener->rules[i]);
	free(listener->rules);
}

void slu_site_drop(struct slu_site *site)
{
	if (--site->refs > 0)
		return;
	for (uint32_t i = 0; i < site->listener_count; i++)
		listener_free(&site->listeners[i]);
	for (uint32_t i = 0; i < site->group_count; i++) {
		free(site->groups[i].hash_name);
		free(site->groups[i].cookie);
		free(site->groups[i].servers);
	}
	free(site->listeners);
	free(site->groups);
	free(site->admin);
	free(site->access_log);
	free(site->log_format);
	free(site);
}
