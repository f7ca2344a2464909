# One Hetzner Cloud server that does everything.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-cloud.nix
    ../profiles/all-in-one.nix
  ];

  networking.hostName = "berth-1";
  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    dashboardHost = "berth.example.com";
    repositories = [ "acme/shop" ];
    adminKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx you@laptop" ];
    uplink = "enp1s0";
    ingress.tls.dns = {
      provider = "hetzner";
      credentialsFile = "/var/secrets/dns.env";
      email = "ops@example.com";
    };
    previewOperator.githubApp = {
      id = 123456;
      installationId = 7654321;
    };
    previewOperator.credentials = {
      github-webhook-secret = "/var/secrets/github-webhook-secret";
      github-app-private-key = "/var/secrets/github-app.pem";
    };
  };

  boot.loader.grub.devices = [ "/dev/sda" ];
  fileSystems."/" = {
    device = "/dev/disk/by-label/root";
    fsType = "ext4";
  };
}
