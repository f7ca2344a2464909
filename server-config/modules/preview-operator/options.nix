{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
in
{
  options.berth.previewOperator = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../../packages/preview-operator.nix { };
      defaultText = lib.literalExpression "packages.preview-operator of this flake";
      description = "The operator and its commands.";
    };

    listen = mkOption {
      type = types.enum [
        "127.0.0.1"
        "::1"
      ];
      default = "127.0.0.1";
      description = "Loopback address at which the web serves the webhook, health and its metrics. Caddy stands in front of it.";
    };
    port = mkOption {
      type = types.port;
      default = 3100;
      description = "Its port.";
    };
    metricsPort = mkOption {
      type = types.port;
      default = 3101;
      description = "Port at the same address for the operator's own metrics, where features.observability is on.";
    };

    user = mkOption {
      type = types.str;
      default = "berth";
      readOnly = true;
      description = "The system user and group that the operator runs as. It has no privileges; what needs root it asks of berth-hostd.";
    };
    webUser = mkOption {
      type = types.str;
      default = "berth-web";
      readOnly = true;
      description = "The system user and group of the web, which the Internet reaches. It has the webhook's secrets and may hand in deliveries.";
    };
    userId = mkOption {
      type = types.ints.between 400 999;
      # Fixed, because berth-hostd is told whose requests it takes before anybody could look the name up.
      default = 870;
      description = "Numeric id of the operator's user and of its group.";
    };

    githubApp = {
      id = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        description = "Id of your GitHub App.";
      };
      installationId = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        description = "Id of its installation: the number at the end of the URL of its settings.";
      };
    };

    credentials = mkOption {
      type = types.submodule {
        options = lib.mapAttrs (_: fileOnHost) {
          github-webhook-secret = "File with the secret that GitHub signs deliveries with.";
          github-webhook-secret-previous = "File with the secret before it, while it is being changed.";
          github-token = "File with a personal access token, where there is no GitHub App.";
          github-app-private-key = "File with the private key of the GitHub App, PEM.";
          database-url = "File with the URL of a PostgreSQL elsewhere, where features.database is off.";
          web-database-url = "File with the URL of the same database for the web: a role that is a member of berth_web and of nothing else.";
          repository-secrets = "TOML file with the values of the apps' secrets.";
        };
      };
      default = { };
      description = ''
        Files on the host (outside the Nix store, readable by root alone) that reach the operator as systemd
        credentials; of these the web gets the webhook's secrets and `web-database-url`. The `secrets` module can put them there.
      '';
    };

    settings = mkOption {
      type = (pkgs.formats.toml { }).type;
      default = { };
      example = {
        limits.concurrency = 8;
      };
      description = ''
        berth.toml as Nix values, see docs/reference/configuration.md. What follows from other options is set already.
        The whole is checked by the operator's own schema while the host is built.
      '';
    };

    guestNixpkgs = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            path = mkOption {
              type = types.str;
              description = "Its path in the Nix store.";
            };
            narHash = mkOption {
              type = types.str;
              description = "Hash of its content, as a flake's lock has it.";
            };
            lastModified = mkOption {
              type = types.int;
              description = "Its date, in seconds.";
            };
          };
        }
      );
      default = null;
      description = ''
        The nixpkgs that containers are built from. A host of this flake has its own; without one, the lock file of
        `server-config/guest` must say.
      '';
    };

    memoryMax = mkOption {
      type = types.strMatching "[1-9][0-9]*[MG]";
      default = "2G";
      description = "Memory that the operator and what it starts (git, nix) may take.";
    };
  };
}
