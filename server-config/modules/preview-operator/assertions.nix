{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
  inherit (cfg) credentials settings githubApp;
  ipv4 = import ../../ipv4.nix { inherit lib; };

  secretKeys = [
    [ "github" "webhook_secret" ]
    [ "github" "webhook_secret_previous" ]
    [ "github" "token" ]
    [ "github" "app_private_key" ]
    [ "state" "database_url" ]
  ];
  inStore = lib.filter (path: lib.hasAttrByPath path settings) secretKeys;
  peerRanges = lib.filter (range: range != null) (
    map (peer: peer.containerRange) (lib.attrValues (config.berth.mesh or { peers = { }; }).peers)
  );
  isApp = githubApp.id != null && githubApp.installationId != null && credentials.github-app-private-key != null;
in
{
  config.assertions = lib.mkIf config.berth.features.previewOperator [
    {
      assertion = config.berth.repositories != [ ];
      message = "berth.repositories is empty: no pull request could have a preview. List the repositories, for example [ \"acme/shop\" ].";
    }
    {
      assertion = credentials.github-webhook-secret != null;
      message = "berth.previewOperator.credentials.github-webhook-secret is not set: no delivery could be checked. Give the file with the secret of the webhook.";
    }
    {
      assertion = isApp || credentials.github-token != null;
      message = "The operator has no identity at GitHub. Give berth.previewOperator.githubApp (id, installationId) and credentials.github-app-private-key, or credentials.github-token.";
    }
    {
      assertion = inStore == [ ];
      message = "berth.previewOperator.settings has ${lib.concatMapStringsSep ", " (lib.concatStringsSep ".") inStore}: every user of the host could read it in the Nix store. Use berth.previewOperator.credentials.";
    }
    {
      assertion = config.berth.features.database || credentials.database-url != null;
      message = "The operator has no database. Set berth.features.database, or berth.previewOperator.credentials.database-url.";
    }
    {
      assertion = !(config.berth.features.database && credentials.database-url != null);
      message = "berth.previewOperator.credentials.database-url is set although berth.features.database makes one here. Remove one of the two.";
    }
    {
      assertion = credentials.database-url != null -> credentials.web-database-url != null;
      message = "berth.previewOperator.credentials.web-database-url is not set: the web must not have the operator's database-url. Give it a URL of its own, with a role that is a member of berth_web.";
    }
    {
      assertion = !(config.berth.features.database && credentials.web-database-url != null);
      message = "berth.previewOperator.credentials.web-database-url is set although berth.features.database lets the web in by itself. Remove one of the two.";
    }
    {
      assertion = settings.gateway.kind or "builtin" == "caddy" -> config.berth.features.previewContainers;
      message = "The operator leaves routes to Caddy, which needs berth-hostd: set berth.features.previewContainers beside berth.features.ingress.";
    }
    {
      assertion = !(ipv4.overlap config.berth.containerRange config.berth.previewRange);
      message = "berth.previewRange ${config.berth.previewRange} overlaps berth.containerRange ${config.berth.containerRange}. Choose another.";
    }
    {
      # hostd makes the whole range an address of this host's own, so nothing beyond it could be reached there.
      assertion = !(config.berth.features.previewContainers && lib.any (ipv4.overlap config.berth.previewRange) peerRanges);
      message = "berth.previewRange ${config.berth.previewRange} overlaps the containers of another host of the mesh. Choose another for one of them.";
    }
    {
      assertion = config.berth.features.ingress -> settings.server.host == cfg.listen && settings.server.port == cfg.port;
      message = "berth.previewOperator.settings.server differs from berth.previewOperator.listen and port, where Caddy looks for the operator. Set those instead.";
    }
  ];
}
