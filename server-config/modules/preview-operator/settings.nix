# berth.toml: rendered from typed values and checked by the operator's own schema.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.previewOperator;
  rendered = (pkgs.formats.toml { }).generate "berth.toml" cfg.settings;
  checked = pkgs.callPackage ../../packages/checked-settings.nix {
    settings = rendered;
    preview-operator = cfg.package;
  };
in
{
  config = lib.mkIf config.berth.features.previewOperator {
    berth.previewOperator.settings = {
      github = {
        repositories = config.berth.repositories;
      }
      // lib.optionalAttrs (cfg.githubApp.id != null) {
        app_id = cfg.githubApp.id;
      }
      // lib.optionalAttrs (cfg.githubApp.installationId != null) {
        installation_id = cfg.githubApp.installationId;
      };
      server = {
        host = lib.mkDefault cfg.listen;
        port = lib.mkDefault cfg.port;
      };
      gateway = {
        # Without Caddy beside it the operator's own proxy answers, on loopback.
        kind = lib.mkDefault (if config.berth.features.ingress then "caddy" else "builtin");
        pool = lib.mkDefault config.berth.previewRange;
      }
      // lib.optionalAttrs (config.berth.domain != null) {
        domain = lib.mkDefault config.berth.domain;
        scheme = lib.mkDefault "https";
        public_port = lib.mkDefault 443;
      };
      state.directory = lib.mkDefault "/var/lib/berth";
      runtime = {
        kind = lib.mkDefault "nixos-container";
        pool = lib.mkDefault config.berth.containerRange;
      }
      // lib.optionalAttrs (cfg.guestNixpkgs != null) {
        guest = lib.mkDefault "${
          pkgs.callPackage ../../packages/guest-folder.nix {
            nixpkgs = cfg.guestNixpkgs;
            resolver = config.berth.previewContainers.resolverAddress;
          }
        }";
      };
      operator.socket = lib.mkDefault "/run/berth/operator.sock";
    };

    environment.etc."berth/berth.toml".source = checked;
  };
}
