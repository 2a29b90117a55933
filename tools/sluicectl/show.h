/*
 * Answers of the agent as text for people.
 */
#ifndef SLU_SLUICECTL_SHOW_H
#define SLU_SLUICECTL_SHOW_H

#include <jansson.h>

/* Each prints one kind of answer to standard output. Members that are missing show as "-". */
void slu_show_listeners(const json_t *answer);
void slu_show_groups(const json_t *answer);
void slu_show_backends(const json_t *answer);
void slu_show_sessions(const json_t *list);
/* Members, who owns which prefix, and what this node announces. */
void slu_show_cluster(const json_t *answer);
/* This node's state in its cluster, in a sentence or two. */
void slu_show_version(const json_t *answer);
void slu_show_node(const json_t *answer);
void slu_show_outbound(const json_t *answer);
void slu_show_metering(const json_t *answer);
/* Any object: a line "path value" for each member. */
void slu_show_fields(const json_t *answer);
/* What an apply changed. */
void slu_show_changes(const json_t *answer);

#endif
