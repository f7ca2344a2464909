{ config, lib, ... }:
let
  inherit (config.berth) domain webhookHost dashboardHost;
  inherit (config.berth.ingress) tls;

  isGiven = pair: pair.certificate != null && pair.key != null;
  # The last two labels. Coarse (it knows no "co.uk") and so stricter than the browser's own list, never laxer.
  site = host: lib.concatStringsSep "." (lib.takeEnd 2 (lib.splitString "." host));
  controlHosts = lib.filter (host: host != null) [
    webhookHost
    dashboardHost
  ];
in
{
  config.assertions = lib.mkIf config.berth.features.ingress [
    {
      assertion = domain != null && webhookHost != null;
      message = "berth.domain and berth.webhookHost must be set where Caddy runs: under which names should it answer?";
    }
    {
      # A preview's JavaScript may set cookies for its whole registrable domain (threat model B9).
      assertion = domain == null || lib.all (host: site host != site domain) controlHosts;
      message = "berth.domain ${toString domain} shares a registrable domain with the webhook's or the dashboard's host: a preview could set cookies for them. Use another domain for previews.";
    }
    {
      assertion = tls.kind == "cloudflare-origin" -> isGiven tls.previews && isGiven tls.control;
      message = "berth.ingress.tls.kind is \"cloudflare-origin\": give the files in berth.ingress.tls.previews and berth.ingress.tls.control, certificate and key of each.";
    }
    {
      assertion = tls.kind == "acme-dns" -> tls.dns.provider != null && tls.dns.credentialsFile != null && tls.dns.email != null;
      message = "berth.ingress.tls.kind is \"acme-dns\": give berth.ingress.tls.dns.provider, credentialsFile and email. A wildcard certificate can be had through DNS only.";
    }
    {
      assertion = lib.hasInfix "admin unix/" config.services.caddy.globalConfig;
      message = "services.caddy.globalConfig no longer puts Caddy's admin interface on a unix socket: on TCP, any process of this host could rewrite every route. Remove the change.";
    }
  ];
}
