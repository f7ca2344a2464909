# Every profile by name. A profile declares no option and sets values only by mkDefault, so that a host
# may take several and still has the last word; they merge like any modules.
{
  base = ./base.nix;
  hardened = ./hardened.nix;
  hetzner-dedicated = ./hetzner-dedicated.nix;
  hetzner-cloud = ./hetzner-cloud.nix;
  worker = ./worker.nix;
  ingress = ./ingress.nix;
  all-in-one = ./all-in-one.nix;
  tenant = ./tenant.nix;
}
