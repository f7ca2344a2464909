# Every switch and every fact of a host that modules share, declared once: type, default, doc.
# Plain data without functions, so that `npm run docs` can turn it into
# docs/reference/host-flags.md on a machine that has no Nix. flags.nix makes options of it: berth.<path>.
{
  features = {
    previewOperator = {
      type = "boolean";
      default = false;
      doc = "The operator: takes GitHub's webhooks and brings the previews to what GitHub says.";
    };
    previewContainers = {
      type = "boolean";
      default = false;
      doc = "Containers for previews and agents: nixos-container, address range, NAT, limits.";
    };
    ingress = {
      type = "boolean";
      default = false;
      doc = "Caddy in front of the webhook, the dashboard and the previews.";
    };
    database = {
      type = "boolean";
      default = false;
      doc = "PostgreSQL for the operator and, one role and one database each, for the previews.";
    };
    firewall = {
      type = "boolean";
      default = true;
      doc = "nftables: 22, 80 and 443 from outside, and the table that holds containers in.";
    };
    hardening = {
      type = "boolean";
      default = false;
      doc = "SSH by key only, fail2ban, kernel settings, who may use the Nix daemon.";
    };
    observability = {
      type = "boolean";
      default = false;
      doc = "Node exporter, journald limits, and an OpenTelemetry collector when an OTLP endpoint is set.";
    };
    prometheus = {
      type = "boolean";
      default = false;
      doc = "A Prometheus on this host that scrapes the host and the operator.";
    };
    grafana = {
      type = "boolean";
      default = false;
      doc = "A Grafana on this host with Berth's dashboards.";
    };
    loki = {
      type = "boolean";
      default = false;
      doc = "A Loki on this host that keeps the logs.";
    };
    backup = {
      type = "boolean";
      default = false;
      doc = "restic backups of state, databases and secrets, with the age of the last success as a metric.";
    };
    secrets = {
      type = "boolean";
      default = false;
      doc = "Secrets that lie encrypted in the repository and reach services as systemd credentials.";
    };
    mesh = {
      type = "boolean";
      default = false;
      doc = "WireGuard between the hosts of a fleet.";
    };
    binaryCache = {
      type = "boolean";
      default = false;
      doc = "A signed binary cache, so that what one host built the others fetch.";
    };
    autoUpgrade = {
      type = "boolean";
      default = false;
      doc = "The host follows its flake by itself, on a timer.";
    };
    agents = {
      type = "boolean";
      default = false;
      doc = "Containers for coding agents, with the managed guardrails.";
    };
    containersOci = {
      type = "boolean";
      default = false;
      doc = "OCI containers through podman quadlets.";
    };
    hostctl = {
      type = "boolean";
      default = true;
      doc = "The hostctl command and its maintenance timer.";
    };
  };

  domain = {
    type = "optional host name";
    default = null;
    example = "previews.example.net";
    doc = "Previews live at <slug>.<domain>. Must be another registrable domain than the webhook's and the dashboard's host.";
  };
  webhookHost = {
    type = "optional host name";
    default = null;
    example = "hooks.example.com";
    doc = "Host name at which GitHub posts its webhooks.";
  };
  dashboardHost = {
    type = "optional host name";
    default = null;
    example = "berth.example.com";
    doc = "Host name for pages of the operator. There are none yet, so it answers /health alone; null: no such host.";
  };
  repositories = {
    type = "list of repositories";
    default = [ ];
    example = [ "acme/shop" ];
    doc = "Repositories (owner/name, or owner/* for all of one owner) whose pull requests may have previews. An empty list is refused where the operator runs.";
  };
  adminKeys = {
    type = "list of SSH public keys";
    default = [ ];
    example = [ "ssh-ed25519 AAAA… you@laptop" ];
    doc = "SSH public keys that may log in as root. An empty list is refused: nobody could get in.";
  };
  uplink = {
    type = "interface name";
    default = "eth0";
    example = "enp0s31f6";
    doc = "Network interface that leads to the Internet.";
  };
  previewRange = {
    type = "IPv4 range";
    default = "10.101.0.0/16";
    doc = "Addresses of the previews: each stays with its preview while the containers behind it come and go.";
  };
  containerRange = {
    type = "IPv4 range";
    default = "10.100.0.0/16";
    doc = "Addresses of the containers: slot N has the even address 2N on the host's side and 2N+1 inside.";
  };
}
