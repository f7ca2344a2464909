{ lib, ... }:
let
  on = {
    services.openssh.enable = true;
    berth = {
      features = {
        previewOperator = true;
        previewContainers = true;
        database = true;
        hardening = true;
      };
      repositories = [ "acme/shop" ];
      domain = "previews.example.net";
      previewOperator = {
        githubApp = {
          id = 123456;
          installationId = 7654321;
        };
        credentials = {
          github-webhook-secret = "/var/secrets/webhook";
          github-app-private-key = "/var/secrets/app.pem";
        };
      };
    };
  };
  elsewhere.berth = {
    features.database = lib.mkForce false;
    previewOperator.credentials.database-url = "/var/secrets/db";
    previewOperator.credentials.web-database-url = "/var/secrets/web-db";
  };
in
{
  "berth.toml says what the other options say" = {
    modules = [ on ];
    shows = config: {
      settings = {
        actual = config.berth.previewOperator.settings;
        equals = {
          github = {
            repositories = [ "acme/shop" ];
            app_id = 123456;
            installation_id = 7654321;
          };
          server = {
            host = "127.0.0.1";
            port = 3100;
          };
          gateway = {
            kind = "builtin";
            pool = "10.101.0.0/16";
            domain = "previews.example.net";
            scheme = "https";
            public_port = 443;
          };
          state.directory = "/var/lib/berth";
          runtime = {
            kind = "nixos-container";
            pool = "10.100.0.0/16";
          };
          operator.socket = "/run/berth/operator.sock";
        };
      };
    };
  };

  "containers are built from the host's own nixpkgs" = {
    modules = [
      on
      {
        berth.previewOperator.guestNixpkgs = {
          path = "/nix/store/00000000000000000000000000000000-source";
          narHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
          lastModified = 1790000000;
        };
      }
    ];
    shows = config: {
      guest = {
        actual = config.berth.previewOperator.settings.runtime.guest;
        contains = "-berth-guest";
      };
    };
  };

  "the operator has no privileges" = {
    modules = [ on ];
    shows = config: {
      unit = {
        actual = config.systemd.units."berth-operator.service".text;
        contains = [
          "User=berth"
          "CapabilityBoundingSet=\n"
          "NoNewPrivileges=true"
          "ProtectSystem=strict"
          "LoadCredential=github-webhook-secret:/var/secrets/webhook"
          "LoadCredential=github-app-private-key:/var/secrets/app.pem"
          "DATABASE_URL=postgresql:///berth?host=/run/postgresql&user=berth"
          "Requires=berth-database-rules.service"
        ];
        lacks = [
          "CAP_"
          "/etc/caddy"
        ];
      };
      "who may use the Nix daemon" = {
        actual = config.nix.settings.allowed-users;
        contains = "berth";
      };
      "who may become the operator's role" = {
        actual = config.services.postgresql.identMap;
        contains = "berth berth berth";
      };
    };
  };

  "the web has the webhook's secret and no other key, writes nothing, and calls nobody" = {
    modules = [ on ];
    shows = config: {
      unit = {
        actual = config.systemd.units."berth-web.service".text;
        contains = [
          "--only web"
          "User=berth-web"
          "LoadCredential=github-webhook-secret:/var/secrets/webhook"
          "DATABASE_URL=postgresql:///berth?host=/run/postgresql&user=berth_web"
          "ProtectSystem=strict"
          "CapabilityBoundingSet=\n"
          "IPAddressDeny=any"
          "IPAddressAllow=localhost"
        ];
        lacks = [
          "github-app-private-key"
          "github-token"
          "repository-secrets"
          "ReadWritePaths"
          "StateDirectory"
          "RuntimeDirectory"
          "SupplementaryGroups"
          "AF_NETLINK"
        ];
      };
      "who may become the web's role" = {
        actual = config.services.postgresql.identMap;
        contains = "berth_web berth-web berth_web";
        lacks = "berth berth-web";
      };
      "it is in no other group" = {
        actual = config.users.users.berth-web.extraGroups;
        equals = [ ];
      };
    };
  };

  "with a database elsewhere each of the two has a URL of its own" = {
    modules = [
      on
      elsewhere
    ];
    shows = config: {
      web = {
        actual = config.systemd.units."berth-web.service".text;
        contains = "LoadCredential=database-url:/var/secrets/web-db";
        lacks = [
          ":/var/secrets/db"
          "DATABASE_URL"
        ];
      };
      operator = {
        actual = config.systemd.units."berth-operator.service".text;
        contains = "LoadCredential=database-url:/var/secrets/db";
        lacks = "web-db";
      };
    };
  };

  "the operator's metrics are on loopback, passed on to its socket" = {
    modules = [
      on
      {
        berth.features.observability = true;
        berth.previewOperator.listen = "::1";
      }
    ];
    shows = config: {
      socket = {
        actual = config.systemd.units."berth-metrics.socket".text;
        contains = "ListenStream=[::1]:3101";
      };
      service = {
        actual = config.systemd.units."berth-metrics.service".text;
        contains = [
          "systemd-socket-proxyd --exit-idle-time=5min /run/berth/metrics.sock"
          "PrivateNetwork=true"
        ];
      };
      "the operator itself opens no port" = {
        actual = config.systemd.units."berth-operator.service".text;
        contains = "--only reconciler";
      };
    };
  };

  "hostd is root, without network, and takes the operator's requests only" = {
    modules = [ on ];
    shows = config: {
      unit = {
        actual = config.systemd.units."berth-hostd.service".text;
        contains = [
          "--operator-uid=870"
          "--pool=10.100.0.0/16"
          "--preview-pool=10.101.0.0/16"
          "--rules=/etc/berth/tenants.nft"
          "IPAddressDeny=any"
          "Wants=berth-tenant-rules.service"
        ];
        lacks = [
          "User="
          "AF_INET"
        ];
      };
      "the operator's ids" = {
        actual = [
          config.users.users.berth.uid
          config.users.groups.berth.gid
        ];
        equals = [
          870
          870
        ];
      };
    };
  };

  "a host that runs no containers has no hostd" = {
    modules = [
      on
      { berth.features.previewContainers = lib.mkForce false; }
    ];
    shows = config: {
      hostd = {
        actual = config.systemd.services ? berth-hostd;
        equals = false;
      };
    };
  };

  "beside Caddy the routes are Caddy's" = {
    modules = [
      on
      {
        berth = {
          features.ingress = true;
          webhookHost = "hooks.example.com";
          ingress.tls.dns = {
            provider = "hetzner";
            credentialsFile = "/var/secrets/dns.env";
            email = "ops@example.com";
          };
        };
      }
    ];
    shows = config: {
      kind = {
        actual = config.berth.previewOperator.settings.gateway.kind;
        equals = "caddy";
      };
      "route files are for Caddy's group to read" = {
        actual = config.systemd.units."berth-operator.service".text;
        contains = [
          "UMask=0027"
          "ReadWritePaths=/etc/caddy/previews"
        ];
      };
    };
  };
  "routes for Caddy without hostd" = {
    modules = [
      on
      {
        berth.features.ingress = true;
        berth.features.previewContainers = lib.mkForce false;
      }
    ];
    refused = "which needs berth-hostd";
  };

  "nobody allowed" = {
    modules = [
      on
      { berth.repositories = lib.mkForce [ ]; }
    ];
    refused = "berth.repositories is empty";
  };
  "no webhook secret" = {
    modules = [
      on
      { berth.previewOperator.credentials.github-webhook-secret = lib.mkForce null; }
    ];
    refused = "credentials.github-webhook-secret is not set";
  };
  "no identity at GitHub" = {
    modules = [
      on
      { berth.previewOperator.githubApp.id = lib.mkForce null; }
    ];
    refused = "The operator has no identity at GitHub";
  };
  "a secret in berth.toml" = {
    modules = [
      on
      { berth.previewOperator.settings.github.token = "ghp_x"; }
    ];
    refused = "settings has github.token";
  };
  "no database" = {
    modules = [
      on
      { berth.features.database = lib.mkForce false; }
    ];
    refused = "The operator has no database";
  };
  "two databases" = {
    modules = [
      on
      { berth.previewOperator.credentials.database-url = "/var/secrets/db"; }
    ];
    refused = "database-url is set although";
  };
  "the operator's database-url and none for the web" = {
    modules = [
      on
      elsewhere
      { berth.previewOperator.credentials.web-database-url = lib.mkForce null; }
    ];
    refused = "the web must not have the operator's database-url";
  };
  "a URL for the web beside a database of this host" = {
    modules = [
      on
      { berth.previewOperator.credentials.web-database-url = "/var/secrets/web-db"; }
    ];
    refused = "web-database-url is set although";
  };
  "ranges that overlap" = {
    modules = [
      on
      { berth.previewRange = "10.100.128.0/17"; }
    ];
    refused = "overlaps berth.containerRange";
  };
  "previews at another host's containers" = {
    modules = [
      on
      {
        berth.mesh.peers.other = {
          publicKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
          endpoint = "203.0.113.11:51820";
          address = "10.99.0.2";
          containerRange = "10.101.0.0/16";
        };
      }
    ];
    refused = "overlaps the containers of another host of the mesh";
  };
  "another port behind Caddy's back" = {
    modules = [
      on
      {
        berth.features.ingress = true;
        berth.previewOperator.settings.server.port = 9999;
      }
    ];
    refused = "settings.server differs from";
  };
  "a repository without an owner" = {
    modules = [
      on
      { berth.repositories = [ "shop" ]; }
    ];
    throws = "berth.repositories";
  };
  "an unknown credential" = {
    modules = [
      on
      { berth.previewOperator.credentials.githup-token = "/x"; }
    ];
    throws = "githup-token";
  };
  "a listener on every address" = {
    modules = [
      on
      { berth.previewOperator.listen = "0.0.0.0"; }
    ];
    throws = "berth.previewOperator.listen";
  };
}
