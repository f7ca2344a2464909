# The example hosts, by name. A host of yours is one more file like these.
{
  all-in-one-cloud = ./all-in-one-cloud.nix;
  all-in-one-dedicated = ./all-in-one-dedicated.nix;
  fleet-ingress = ./fleet-ingress.nix;
  fleet-worker = ./fleet-worker.nix;
  tenant-cloud = ./tenant-cloud.nix;
}
