/* http/judge.c - may this request be made? The firewall and the rate first, which cost little, then the
 * route's realm and authorisation. Synchronous, on the accepting shard, when the head is complete: what
 * is refused costs no body and no message. */
#include "http/server.h"

#include "gyre/buf.h"
#include "gyre/core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int gy__http_judge_peer(struct gy__http_link *link, struct gy__http_slot *slot, const char **why)
{
    struct gy__http_server *server = link->server;
    const struct gy_http_access *access = server->peers.access;
    const struct gy_slice *path = &slot->req.path;
    char decoded[GY__HTTP_ROUTE_LEN_MAX];
    const char *text = path->ptr;
    size_t len = path->len;

    if (!(slot->flags & GY__SLOT_COUNTED) &&
        !gy__http_peers_request(&server->peers, link->peer, server->env.now_ns)) {
        gy__http_count(&server->env.stats, GY__HTTP_REFUSED_PEER_RATE, 1);
        slot->line = "Retry-After: 1\r\n";
        *why = "Too many requests";
        return 429;
    }
    slot->flags |= GY__SLOT_COUNTED;
    if (access->disabled == NULL)
        return 0;
    if (slot->flags & GY__SLOT_DOTS) {
        len = gy__http_path_decode(text, len, decoded);
        text = decoded;
    }
    if (!gy__http_access_disabled(access, text, len))
        return 0;
    gy__http_count(&server->env.stats, GY__HTTP_REFUSED_ACCESS, 1);
    *why = "This path is disabled";
    return 403;
}

/* The challenge lies where the slot's headers did: no handler will look at them. */
static int challenge(struct gy__http_slot *slot, const struct gy_http_realm *realm, const char **why)
{
    char *line = (char *)(void *)slot->inline_headers;
    int len = snprintf(line, sizeof(slot->inline_headers), "WWW-Authenticate: %s realm=\"%s\"\r\n",
                       realm->challenge, realm->name);

    slot->req.header_count = 0;
    if (len > 0 && (size_t)len < sizeof(slot->inline_headers))
        slot->line = line;
    *why = "Who is asking?";
    return 401;
}

/* Keep who it is. -> false: no memory. */
static bool remember(struct gy__http_slot *slot, const struct gy_http_identity *who)
{
    size_t len = strlen(who->principal);

    slot->claims = who->claims;
    if (who->claims != NULL)
        slot->req.claims = (struct gy_slice){ (const char *)who->claims->data, who->claims->len };
    if (len == 0)
        return true;
    slot->identity = gy_buf_take(len);
    if (slot->identity == NULL)
        return false;
    memcpy(slot->identity->data, who->principal, len);
    slot->req.principal = (struct gy_slice){ (const char *)slot->identity->data, len };
    return true;
}

static void forget(struct gy__http_slot *slot)
{
    slot->flags &= (uint16_t)~GY__SLOT_KNOWN;
    gy_buf_release(slot->identity);
    gy_buf_release(slot->claims);
    slot->identity = slot->claims = NULL;
    slot->req.principal = slot->req.claims = (struct gy_slice){ NULL, 0 };
}

static int authenticate(struct gy__http_slot *slot, const struct gy_http_realm *realm, const char **why)
{
    struct gy_http_identity who;
    int err;

    memset(&who, 0, sizeof(who));
    err = realm->authenticate(realm, &slot->req, &who);
    if (err == 0 && !remember(slot, &who))
        err = -EAGAIN;
    if (err == 0)
        return 0;
    if (err == -EACCES)
        return challenge(slot, realm, why);
    *why = err == -EPERM ? "This is not for you" : "Nobody can tell who is asking";
    return gy_http_status(err);
}

int gy__http_judge(struct gy__http_slot *slot, const struct gy_http_route_options *options,
                   const char **why)
{
    int status = 0;

    if (slot->flags & GY__SLOT_KNOWN) {
        if (slot->judged == options)
            return 0;
        forget(slot); /* while its body came, the path became another route's */
    }
    if (options->realm == NULL && options->authorize == NULL)
        return 0;
    if (options->realm != NULL && options->realm->authenticate != NULL)
        status = authenticate(slot, options->realm, why);
    if (status != 0)
        return status;
    if (options->authorize != NULL && !options->authorize(&slot->req)) {
        *why = "This is not for you";
        return 403;
    }
    slot->flags |= GY__SLOT_KNOWN;
    slot->judged = options;
    return 0;
}
