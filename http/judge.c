/* http/judge.c - may this request be made? The firewall and the rate first, which cost little, then the
 * route's realm and authorisation, on the accepting shard, when the head is complete: what is refused
 * costs no body and no message. Only a realm that asks elsewhere is asked when the request is to be
 * dispatched; the request then waits in its place, QUEUED, its future being that of the answer. */
#include "http/server.h"

#include "gyre/buf.h"
#include "gyre/core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

static bool same(struct gy_slice text, const char *other, size_t len)
{
    return text.len >= len && strlen(other) == len && strncasecmp(text.ptr, other, len) == 0;
}

/* A token that was sent and not taken is told of (RFC 6750 3.1); where none was, nothing is wrong. */
static const char *token_error(const struct gy__http_slot *slot, const struct gy_http_realm *realm)
{
    const struct gy_slice *sent = gy_http_header(&slot->req, "authorization");
    struct gy_slice challenge = { realm->challenge, strlen(realm->challenge) };

    return same(challenge, "Bearer", 6) && challenge.len == 6 && sent != NULL && sent->len > 7 && sent->ptr[6] == ' ' &&
                   same(*sent, "Bearer", 6)
               ? ", error=\"invalid_token\""
               : "";
}

/* The challenge lies where the slot's headers did: no handler will look at them. */
static int challenge(struct gy__http_slot *slot, const struct gy_http_realm *realm, const char **why)
{
    char *line = (char *)(void *)slot->inline_headers;
    int len = snprintf(line, sizeof(slot->inline_headers), "WWW-Authenticate: %s realm=\"%s\"%s\r\n",
                       realm->challenge, realm->name, token_error(slot, realm));

    slot->req.header_count = 0;
    if (len > 0 && (size_t)len < sizeof(slot->inline_headers))
        slot->line = line;
    *why = "Who is asking?";
    return 401;
}

/* Keep who it is. -> false: no memory. */
static bool remember(struct gy__http_slot *slot, const struct gy_http_identity *who)
{
    size_t len = strnlen(who->principal, sizeof(who->principal));

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

/* What an authenticator said. -> 0, or a status. */
static int outcome(struct gy__http_slot *slot, const struct gy_http_realm *realm, int err, int status,
                   const char **why)
{
    if (err == -EACCES)
        return challenge(slot, realm, why);
    *why = err == -EPERM ? "This is not for you" : "Nobody can tell who is asking";
    return err == -EPERM ? 403 : status;
}

static int authenticate(struct gy__http_slot *slot, const struct gy_http_realm *realm, const char **why)
{
    struct gy_http_identity who;
    int err;

    memset(&who, 0, sizeof(who));
    err = realm->authenticate(realm, &slot->req, &who);
    if (err == 0 && !remember(slot, &who))
        err = -EAGAIN;
    return err == 0 ? 0 : outcome(slot, realm, err, gy_http_status(err), why);
}

/* Whoever the request is from, it may be. */
static int authorize(struct gy__http_slot *slot, const struct gy_http_route_options *options, const char **why)
{
    if (options->authorize != NULL && !options->authorize(&slot->req)) {
        *why = "This is not for you";
        return 403;
    }
    slot->flags |= GY__SLOT_KNOWN;
    slot->judged = options;
    return 0;
}

/* -> GY__JUDGE_WAITS, or a status. */
static int ask(struct gy__http_server *server, struct gy__http_slot *slot, const struct gy_http_route_options *options,
               void (*then)(struct gy_actor *self, const struct gy_done *done), const char **why)
{
    const struct gy_http_realm *realm = options->realm;
    struct gy_http_identity who;
    int err, status;

    memset(&who, 0, sizeof(who));
    err = realm->ask(realm, &server->actor, &slot->req, &slot->fut, &who);
    status = err < 0 ? gy_http_status(err) : 0;
    if (err == GY_HTTP_LATER) {
        err = gy_refused(slot->fut);
        if (err == 0)
            err = gy_then_raw(&server->actor, slot->fut, then, gy__http_slot_ticket(slot));
        if (err == 0)
            status = GY__JUDGE_WAITS;
        else
            status = gy_http_status_upstream(err);
    }
    if (err < 0) {
        gy_buf_release(who.claims);
    } else if (!remember(slot, &who)) {
        gy_discard(slot->fut); /* who waits for it finds that the request does not */
        err = -ENOBUFS;
        status = 503;
    }
    if (err < 0)
        return outcome(slot, realm, err, status, why);
    slot->judged = options;
    return status == GY__JUDGE_WAITS ? status : authorize(slot, options, why);
}

int gy__http_judge_told(struct gy__http_slot *slot, const struct gy_done *done, const char **why)
{
    const struct gy_http_realm *realm = slot->judged->realm;
    struct gy_http_identity who;
    int err = 0;

    if (done->res < 0)
        return outcome(slot, realm, done->res, gy_http_status_upstream(done->res), why);
    if (realm->told != NULL) {
        memset(&who, 0, sizeof(who));
        if (slot->req.principal.len > 0)
            memcpy(who.principal, slot->req.principal.ptr, slot->req.principal.len);
        who.claims = slot->claims;
        slot->claims = NULL; /* the authenticator's, and then the slot's again */
        err = realm->told(realm, done, &who);
        forget(slot);
        if (err == 0 && !remember(slot, &who))
            err = -EAGAIN;
        else if (err < 0)
            gy_buf_release(who.claims);
    }
    if (err < 0)
        return outcome(slot, realm, err, gy_http_status(err), why);
    return authorize(slot, slot->judged, why);
}

int gy__http_judge(struct gy__http_slot *slot, const struct gy_http_route_options *options,
                   struct gy__http_server *server, void (*then)(struct gy_actor *self, const struct gy_done *done),
                   const char **why)
{
    const struct gy_http_realm *realm = options->realm;

    if (slot->flags & GY__SLOT_KNOWN) {
        if (slot->judged == options)
            return 0;
        forget(slot); /* while its body came, the path became another route's */
    }
    if (realm == NULL && options->authorize == NULL)
        return 0;
    slot->req.gy__ticket = gy__http_slot_ticket(slot); /* for gy_http_peer */
    if (realm != NULL && realm->ask != NULL)
        return then != NULL ? ask(server, slot, options, then, why) : 0;
    if (realm != NULL && realm->authenticate != NULL) {
        int status = authenticate(slot, realm, why);

        if (status != 0)
            return status;
    }
    return authorize(slot, options, why);
}
